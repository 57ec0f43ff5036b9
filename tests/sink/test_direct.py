"""Large files are written past the page cache where that can be, and are whole wherever it cannot."""

from __future__ import annotations

import errno
import mmap
import os
import random
import secrets
from pathlib import Path

import pytest

from collector.sink import direct
from collector.sink.direct import ALIGNED_BYTES, DIRECT_FROM_BYTES, write_whole

MIB = 1 << 20
SIZES = (0, 1, DIRECT_FROM_BYTES - 1, DIRECT_FROM_BYTES, DIRECT_FROM_BYTES + 1, 3 * MIB + 4095, 5 * MIB)


def body_of(size: int, shift: int = 0) -> memoryview:
    """Memory as objects have it, which begins with a page, or `shift` bytes behind that."""
    memory = mmap.mmap(-1, size + shift + 1)
    memory[: size + shift] = random.Random(size).randbytes(size + shift)  # noqa: S311 - no secret
    return memoryview(memory)[shift : size + shift]


def written(path: Path, body: memoryview) -> bytes:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_whole(descriptor, body)
    finally:
        os.close(descriptor)
    return path.read_bytes()


@pytest.fixture(params=["a disk", "memory"])
def folder(request, tmp_path):
    """File systems that can, and that perhaps cannot."""
    if request.param == "a disk":
        return tmp_path
    made = Path("/dev/shm") / f"joblog-{secrets.token_hex(8)}"  # noqa: S108
    made.mkdir()
    request.addfinalizer(made.rmdir)
    request.addfinalizer(lambda: [each.unlink() for each in made.iterdir()])
    return made


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shift", [0, 1, 512])
def test_all_bytes_are_there(folder, size, shift):
    """Of any size, from memory that is aligned and that is not."""
    body = body_of(size, shift)
    assert written(folder / "file", body) == body


def test_the_cache_has_none_of_it(tmp_path):
    path, size = tmp_path / "file", 4 * MIB
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        if not direct._set_direct(descriptor, wanted=True):
            pytest.skip("this file system does not write past the cache")
        direct._set_direct(descriptor, wanted=False)
        write_whole(descriptor, body_of(size))
        with pytest.raises(BlockingIOError):
            os.preadv(descriptor, [bytearray(ALIGNED_BYTES)], size // 2, os.RWF_NOWAIT)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    "answers",
    [
        [2 * MIB, errno.EINVAL],
        [MIB + 100],
        [errno.EINVAL],
        [ALIGNED_BYTES] * 3,
    ],
    ids=["refused later", "cut short somewhere", "refused at once", "a page at a time"],
)
def test_whatever_the_system_does_at_first(tmp_path, monkeypatch, answers):
    """It may write less than it was given, or refuse: the rest is written all the same, once."""
    write, told = os.write, list(answers)

    def answering(descriptor: int, data: memoryview) -> int:
        if not told:
            return write(descriptor, data)
        answer = told.pop(0)
        if answer == errno.EINVAL:
            raise OSError(answer, os.strerror(answer))
        direct._set_direct(descriptor, wanted=answer % ALIGNED_BYTES == 0)
        return write(descriptor, data[:answer])

    monkeypatch.setattr(direct.os, "write", answering)
    body = body_of(4 * MIB + 17)
    assert written(tmp_path / "file", body) == body
    assert told == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_fails_is_told(tmp_path, monkeypatch, number):
    def failing(_descriptor: int, _data: memoryview) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(direct.os, "write", failing)
    with pytest.raises(OSError, match=os.strerror(number)):
        written(tmp_path / "file", body_of(2 * MIB))

"""Damage of every kind to the files of a state folder: a state that was, or one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from collector.cli import main
from collector.errors import StateError
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder

FLIPS = 400


@pytest.fixture
def whole(tmp_path, make) -> tuple[Path, list[list[bytes]]]:
    """A folder with a snapshot, and a journal that goes on from it; and the states that it went through."""
    folder = StateFolder(tmp_path / "state", "v", 0)
    folder.lock(make.owner)
    checkpoint = Checkpoint("v", 0)
    states = []
    records = [
        make.open(),
        make.batch(1, make.span(end=10), make.span("b.log")),
        make.batch(2, make.span(start=10, end=30)),
        make.open(3, 2),
    ]
    for record in records:
        checkpoint.apply(record)
        folder.append(records=[record])
        if record.sequence == 1:
            folder.compact(checkpoint)
        states.append(list(checkpoint.dump()))
    folder.close()
    return folder.path, states


def load_beside(folder: Path, name: str, body: bytes) -> list[bytes] | None:
    """What a start would find, were `name` to hold `body`; StateError as it would raise it."""
    beside = folder.parents[1].with_name("damaged") / "v" / "000"
    if not beside.exists():
        shutil.copytree(folder, beside)
    (beside / name).write_bytes(body)
    found = StateFolder(beside.parents[1], "v", 0).load()
    return None if found is None else list(found.dump())


def expect_old_or_told(folder: Path, name: str, body: bytes, states: list[list[bytes]], what: str) -> None:
    try:
        found = load_beside(folder, name, body)
    except StateError as error:
        assert error.exit_code == 4, what
        assert name in error.message, what
        assert "checkpoints rebuild" in error.hint, what
    else:
        assert found in states, what


@pytest.mark.parametrize("name", ["checkpoint.jsonl", "journal.jsonl"])
def test_cut_anywhere(whole, name: str) -> None:
    """Cut after any number of bytes: a state that it went through, or one line that names file and remedy."""
    folder, states = whole
    body = (folder / name).read_bytes()
    for cut in range(0, len(body), 3):
        expect_old_or_told(folder, name, body[:cut], states, f"cut at {cut}")


@pytest.mark.parametrize("name", ["checkpoint.jsonl", "journal.jsonl"])
def test_any_bit_flipped(whole, name: str) -> None:
    """One bit flipped, at hundreds of places: never a wrong offset, never anything but StateError."""
    folder, states = whole
    body = (folder / name).read_bytes()
    random = Random(1)  # noqa: S311 - the same places in every run
    for _ in range(FLIPS):
        at, bit = random.randrange(len(body)), random.randrange(8)
        flipped = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
        expect_old_or_told(folder, name, flipped, states, f"bit {bit} of byte {at}")


@pytest.mark.parametrize("name", ["checkpoint.jsonl", "journal.jsonl"])
def test_zeros_from_anywhere(whole, name: str) -> None:
    """A power cut can leave a file with its length and without its end, or all of its content: zeros."""
    folder, states = whole
    body = (folder / name).read_bytes()
    for cut in range(0, len(body), 29):
        expect_old_or_told(folder, name, body[:cut].ljust(len(body), b"\0"), states, f"zeros from {cut}")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "checkpoint.jsonl:1: the checksum does not fit the line"),
        (b"\0" * 4096, "checkpoint.jsonl:1: the checksum does not fit the line"),
        (b"[" * 100_000, "checkpoint.jsonl:1: the checksum does not fit the line"),
        (
            b'{"kind":"checkpoint","format":2}\n',
            "checkpoint.jsonl:1: format 2 is newer than this joblog knows",
        ),
    ],
    ids=["empty", "zeros", "nested", "future"],
)
def test_the_command_line_tells_file_line_and_remedy(whole, capsys, body: bytes, says: str) -> None:
    """`checkpoints show` and a start say the same one line, with the remedy, and end with exit code 4."""
    folder, _ = whole
    (folder / "checkpoint.jsonl").write_bytes(body)
    assert main(["checkpoints", "show", "v/0", "--state", str(folder.parents[1])]) == 4
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert says in told[0]
    assert "joblog checkpoints rebuild" in told[0]


def test_a_journal_is_never_appended_to_by_another_process(whole, make) -> None:
    """What an earlier process left may have been read from memory alone: after an fsync that failed, none of
    the same file tells of it. So the next process writes all of it into a new file, and syncs that.
    """
    folder, _ = whole
    journal = folder / "journal.jsonl"
    before, held = journal.read_bytes(), journal.open("rb")
    with held:
        following = StateFolder(folder.parents[1], "v", 0)
        following.lock(make.owner)
        following.append(records=[make.open(4, 3)])
        following.close()
        assert journal.read_bytes().startswith(before)
        assert held.read() == before


@pytest.mark.parametrize("name", ["journal.jsonl", "lock"])
def test_a_file_that_was_replaced_is_noticed(whole, make, name: str) -> None:
    """Another file under the name of the journal, or of the lock, is not taken for one's own."""
    folder, _ = whole
    mine = StateFolder(folder.parents[1], "v", 0)
    mine.lock(make.owner)
    mine.append(records=[make.open(4, 3)])
    (folder / name).rename(folder / "beside")
    shutil.copy(folder / "beside", folder / name)
    with pytest.raises(StateError, match=rf"{name} was replaced while it was in use: start joblog again"):
        mine.append(records=[make.open(5, 4)])
    mine.close()

"""What is fuzzed: each target takes any bytes, and gives a value or a JoblogError, never another exception.

A new target is one function with `@target`; its corpus is the folder of its name in `corpus/`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np

from collector.config import load
from collector.errors import JoblogError
from collector.intake.cri import frame_cri
from collector.intake.frame import frame, line_feeds
from collector.intake.framing import framing as framing_of
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.names import decode_name, encode_name, job_of
from collector.model import BatchSettings, Lines
from collector.records import decode_receipt, decode_record, encode_receipt, encode_record
from collector.rows.compress import decompress
from collector.state.checkpoint import Checkpoint
from collector.state.codec import seal
from collector.state.folder import StateFolder
from collector.state.journal import read_journal

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}

FAST = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
SHORTEST_LIMIT = 4
LONGEST_SIZES = 64
START_PATTERNS = (r"^\d\d-", r"^\S", r"^\w+$", r"^(?:a|\[)", "^é", r"^[^\s]{3}")


def target(function: Target) -> Target:
    TARGETS[function.__name__] = function
    return function


def raw(data: bytes) -> str:
    """A name as the system gives it."""
    return os.fsdecode(data)


def parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\0", "").split("/") if part not in {"", ".", ".."})


@target
def names(data: bytes) -> None:
    """Any name can be written down, and got back."""
    name = raw(data)
    encoded = encode_name(name)
    assert decode_name(encoded) == name
    assert encoded.encode().decode() == encoded
    assert not set(encoded) & set(map(chr, (*range(0x20), 0x7F)))
    job_of(name)


@target
def layouts(data: bytes) -> None:
    """The first line is a layout, each other one a path below the volume."""
    text, *paths = data.split(b"\n")
    try:
        layout = Layout.parse(raw(text))
    except JoblogError:
        return
    for path in paths:
        below = parts(raw(path))
        origin = layout.path_origin(below)
        assert origin.source == (encode_name("/".join(below[: layout.source_depth])) or ".")
        layout.file_origin(layout.origin(below[: layout.source_depth]), below[layout.source_depth :])
        for depth, name in enumerate(below):
            layout.level_matches(depth, name)


@target
def globs(data: bytes) -> None:
    """Lines before an empty one are patterns (those with `-` in front exclude), those after it are paths."""
    patterns, _, paths = data.partition(b"\n\n")
    lines = [raw(line) for line in patterns.split(b"\n")]
    include = [line for line in lines if not line.startswith("-")] or ["**"]
    try:
        selection = Selection(include, [line[1:] for line in lines if line.startswith("-")])
    except JoblogError:
        return
    for path in paths.split(b"\n"):
        selection.matches(raw(path))


@target
def framing(data: bytes) -> None:
    """A head of five bytes (limit, final, three sizes), then reads: as a plain loop over the bytes has it."""
    head, body = data[:5].ljust(5, b"\0"), data[5:]
    limit, finals = SHORTEST_LIMIT + head[0] % 32, [bool(head[1] >> bit & 1) for bit in range(4)]
    sizes = _sizes([size % LONGEST_SIZES for size in head[2:]], len(body))
    arena = np.frombuffer(body, np.uint8)
    at = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
    lines = frame(arena, at, np.array(sizes, np.int64), np.array(finals, np.bool_), limit)
    rows = list(zip(lines.starts.tolist(), lines.ends.tolist(), lines.eol.tolist(), strict=True))
    first = 0
    for number, (start, size, final) in enumerate(zip(at.tolist(), sizes, finals, strict=True)):
        count = int(lines.row_counts[number])
        got = [(begin - start, body[begin:end], eol) for begin, end, eol in rows[first : first + count]]
        first += count
        expected, consumed = _framed(body[start : start + size], limit, final=final)
        assert got == expected
        assert int(lines.consumed[number]) == consumed
    assert first == len(rows)


def _sizes(wanted: list[int], total: int) -> list[int]:
    """Four sizes whose sum is `total`."""
    found = []
    for size in wanted:
        found.append(min(size, total))
        total -= found[-1]
    return [*found, total]


def _framed(data: bytes, limit: int, *, final: bool) -> tuple[list[tuple[int, bytes, bool]], int]:
    """The rows of one read, and how many of its bytes they take; one byte after the other."""
    rows: list[tuple[int, bytes, bool]] = []
    start = consumed = 0
    for position in range(len(data) + 1):
        is_end = position == len(data)
        is_line = not is_end and data[position] == ord("\n")
        if is_end or is_line:
            while position - start > limit:
                cut = _cut(data, start + limit)
                rows.append((start, data[start:cut], False))
                start = consumed = cut
        if is_line or (is_end and final and position > start):
            rows.append((start, data[start:position], is_line))
            start = consumed = position + is_line
    return rows, consumed


def _cut(data: bytes, end: int) -> int:
    for back in range(4):
        if data[end - back] & 0xC0 != 0x80:
            return end - back
    return end


def _reads(body: bytes, sizes: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = np.array(_sizes(sizes, len(body)), np.int64)
    return np.frombuffer(body, np.uint8), np.cumsum(lengths) - lengths, lengths


@target
def multiline(data: bytes) -> None:
    """A head of six bytes (limit, final, three sizes, pattern), then reads: all bytes that were taken are in
    rows, none of which is over the limit.
    """
    head, body = data[:6].ljust(6, b"\0"), data[6:]
    limit, final = SHORTEST_LIMIT + head[0] % 32, [bool(head[1] >> bit & 1) for bit in range(4)]
    pattern = START_PATTERNS[head[5] % len(START_PATTERNS)]
    frame_records = framing_of(BatchSettings("", "parquet", "none", limit, multiline=pattern))
    arena, at, lengths = _reads(body, [size % LONGEST_SIZES for size in head[2:5]])
    lines = frame_records(arena, at, lengths, np.array(final), limit)
    feeds = line_feeds(lines)
    first = 0
    for number, (start, count) in enumerate(zip(at.tolist(), lines.row_counts.tolist(), strict=True)):
        rows = range(first, first + count)
        first += count
        texts = (body[lines.starts[row] : lines.ends[row]] + b"\n" * int(lines.eol[row]) for row in rows)
        joined = b"".join(texts)
        assert joined == body[start : start + lines.consumed[number]]
        assert joined.count(b"\n") == feeds[number]
        assert all(lines.ends[row] - lines.starts[row] <= limit for row in rows)
        assert not final[number] or lines.consumed[number] == lengths[number]
    assert first == len(lines.starts)


@target
def cri(data: bytes) -> None:
    """A head of five bytes (limit, final, three sizes), then reads: rows are in order, none over the limit;
    and what was taken is framed to the same rows again.
    """
    head, body = data[:5].ljust(5, b"\0"), data[5:]
    limit, final = SHORTEST_LIMIT + head[0] % 32, [bool(head[1] >> bit & 1) for bit in range(4)]
    arena, at, lengths = _reads(body, [size % LONGEST_SIZES for size in head[2:]])
    lines = frame_cri(arena, at, lengths, np.array(final), limit)
    assert lines.decoded is not None
    assert int(lines.row_counts.sum()) == len(lines.starts)
    assert (np.diff(lines.decoded.at) > 0).all()
    assert (lines.ends - lines.starts <= limit).all()
    taken = b"".join(body[start : start + size] for start, size in zip(at, lines.consumed, strict=True))
    feeds = line_feeds(lines)
    assert int(feeds.sum()) == taken.count(b"\n")
    again_at = np.cumsum(lines.consumed) - lines.consumed
    again = frame_cri(np.frombuffer(taken, np.uint8), again_at, lines.consumed, np.ones(4, np.bool_), limit)
    assert _texts(arena, lines) == _texts(np.frombuffer(taken, np.uint8), again)


def _texts(arena: np.ndarray, lines: Lines) -> list[tuple[bytes, bool]]:
    assert lines.decoded is not None
    text = (arena if lines.decoded.text is None else lines.decoded.text).tobytes()
    places = zip(lines.starts.tolist(), lines.ends.tolist(), lines.eol.tolist(), strict=True)
    return [(text[start:end], eol) for start, end, eol in places]


@target
def records(data: bytes) -> None:
    """What is read as a record says the same when it is written and read again, and can be taken in."""
    try:
        record = decode_record(data, "key")
    except JoblogError:
        return
    assert decode_record(encode_record(record), "key") == record
    with suppress(JoblogError):
        checkpoint = Checkpoint(record.volume, record.shard)
        checkpoint.sequence = record.sequence
        checkpoint.apply(record)
        list(checkpoint.dump())


@target
def receipts(data: bytes) -> None:
    try:
        receipt = decode_receipt(data, "key")
    except JoblogError:
        return
    assert decode_receipt(encode_receipt(receipt), "key") == receipt


@target
def snapshots(data: bytes) -> None:
    """A snapshot in the destination: compressed, whoever wrote it."""
    with suppress(JoblogError):
        Checkpoint.load(decompress(data, "place").splitlines(keepends=True), place="place")


@target
def checkpoints(data: bytes) -> None:
    """Lines of a checkpoint. With right checksums, so that what is in them counts, and as they are."""
    with suppress(JoblogError):
        Checkpoint.load(data.splitlines(keepends=True), place="place")
    try:
        found = Checkpoint.load(map(seal, data.splitlines()), place="place")
    except JoblogError:
        return
    dumped = list(found.dump(journal=found.journal))
    assert list(Checkpoint.load(dumped, place="place").dump(journal=found.journal)) == dumped


@target
def journals(data: bytes) -> None:
    """Before an empty line a checkpoint, after it a journal, as a state folder holds them; then as it is."""
    with suppress(JoblogError):
        journal = read_journal(BytesIO(data), "place")
        if journal is not None:
            deque(journal.changes(), maxlen=0)
    snapshot, _, journal = data.partition(b"\n\n")
    root = Path(tempfile.mkdtemp(prefix="joblog-fuzz-", dir=FAST if FAST.is_dir() else None))
    try:
        folder = StateFolder(root, "default", 0)
        folder.path.mkdir(parents=True)
        if snapshot:
            folder.path.joinpath("checkpoint.jsonl").write_bytes(b"".join(map(seal, snapshot.splitlines())))
        folder.path.joinpath("journal.jsonl").write_bytes(b"".join(map(seal, journal.splitlines())))
        with suppress(JoblogError):
            folder.load()
    finally:
        shutil.rmtree(root)


@target
def configuration(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=FAST if FAST.is_dir() else None) as file:
        file.write(data)
        file.flush()
        try:
            load(Path(file.name), {}, {"HOME": "/root"})
        except JoblogError as error:
            assert all(character >= " " or character == "\n" for character in str(error)), str(error)

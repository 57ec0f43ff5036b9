"""Whether what came out is exactly what was on the volume, told from the objects and the files alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import export

BLOCK_BYTES = 16 << 20
ENDS = pa.array([b"", b"\n"])

Fields = tuple[tuple[str, str], ...]
"""Names of columns, and their types as settings name them."""
_TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}


def counted(to: Path, volume: Path) -> bool:
    """As many rows as lines, and as many bytes."""
    return export.counted(to) == export.expected(volume)


def text(
    change: Callable[[bytes], bytes] = bytes, *, starts: str | None = None
) -> Callable[[Path, Path], bool]:
    """Of a volume of one file: the rows, one after the other, are the file's lines after `change`, byte for
    byte. `starts`: only lines that match begin a row.
    """

    def check(to: Path, volume: Path) -> bool:
        rows, content = 0, hashlib.sha256()
        for group in groups(to, ["message", "raw", "eol"]):
            rows += len(group)
            held = group["message"].combine_chunks().cast(pa.binary())
            ends = ENDS.take(group["eol"].combine_chunks().cast(pa.int8()))
            content.update(export.bytes_of(pc.binary_join_element_wise(held, ends, b"")))
        wanted_rows, wanted = 0, hashlib.sha256()
        for block in blocks(volume):
            changed = change(block)
            wanted.update(changed)
            wanted_rows += changed.count(b"\n") if starts is None else _starts(block, starts)
        return (rows, content.digest()) == (wanted_rows, wanted.digest())

    return check


def fields(judge: Callable[[str], tuple[str, ...]], columns: Fields) -> Callable[[Path, Path], bool]:
    """Of a volume of one file: in each row the columns are what `judge` says of its line."""

    def check(to: Path, volume: Path) -> bool:
        names = [name for name, _ in columns]
        wanted = judged(volume, judge, columns)
        read = (group.select(names).to_batches() for group in groups(to, names))
        found = pa.Table.from_batches([batch for group in read for batch in group], wanted.schema)
        return found.equals(wanted)

    return check


def no_message(to: Path, volume: Path) -> bool:
    """No line was kept."""
    return all(group["message"].null_count == len(group) for group in groups(to, ["message"]))


def both(*checks: Callable[[Path, Path], bool]) -> Callable[[Path, Path], bool]:
    return lambda to, volume: all(check(to, volume) for check in checks)


def judged(volume: Path, judge: Callable[[str], tuple[str, ...]], columns: Fields) -> pa.Table:
    """What `re` or `json` say of each line; made once a run, for other cases parse the
    same lines into the same columns.
    """
    schema = pa.schema([(name, _TYPES[kind]) for name, kind in columns])
    known = volume.with_name(f"{volume.name}.fields")
    if not known.exists():
        with pa.OSFile(str(known), "wb") as file, pa.ipc.new_file(file, schema) as out:
            for block in blocks(volume):
                found = list(zip(*map(judge, block.decode().split("\n")[:-1]), strict=True))
                typed = [_typed(values, kind) for values, kind in zip(found, schema.types, strict=True)]
                out.write_batch(pa.record_batch(typed, schema))
    return pa.ipc.open_file(pa.memory_map(str(known))).read_all()


def _typed(values: tuple[str, ...], kind: pa.DataType) -> pa.Array:
    return pa.array([int(value) for value in values] if kind == pa.int64() else values, kind)


def of_pattern(pattern: str, names: list[str]) -> Callable[[str], tuple[str, ...]]:
    search = re.compile(pattern).search

    def judge(line: str) -> tuple[str, ...]:
        match = search(line)
        if match is None:
            raise ValueError(f"the benchmark's own line does not match: {line!r}")
        return match.group(*names)

    return judge


def of_json(names: list[str]) -> Callable[[str], tuple[str, ...]]:
    def judge(line: str) -> tuple[str, ...]:
        found = json.loads(line)
        return tuple(found[name] for name in names)

    return judge


def groups(to: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The row groups of all Parquet objects, in the order of their rows where all are of one file."""
    for path in sorted(export.objects(to), key=_first_offset):
        file = pq.ParquetFile(path)
        for at in range(file.num_row_groups):
            yield file.read_row_group(at, columns=columns)


def _first_offset(path: Path) -> int:
    offsets: pa.ChunkedArray = pq.ParquetFile(path).read_row_group(0, columns=["offset"])["offset"]
    return int(offsets[0].as_py())


def blocks(volume: Path) -> Iterator[bytes]:
    """Whole lines of the only file."""
    (path,) = volume.rglob("*.log")
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block + file.readline()


def _starts(block: bytes, pattern: str) -> int:
    return len(re.findall(rb"(?m)^" + pattern.encode(), block))

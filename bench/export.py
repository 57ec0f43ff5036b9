"""What is in an export: rows and bytes of the lines, counted from the objects alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".ndjson", ".ndjson.zst", ".ndjson.gz", ".log", ".log.zst", ".log.gz")


def objects(export: Path) -> list[Path]:
    found = (
        path
        for path in export.rglob("*")
        if path.is_file() and "_joblog" not in path.relative_to(export).parts
    )
    return sorted(path for path in found if path.name.endswith(SUFFIXES))


def out_bytes(export: Path) -> int:
    return sum(path.stat().st_size for path in objects(export))


def counted(export: Path) -> tuple[int, int]:
    """Rows, and bytes of their lines with line feeds."""
    counts = [_count(path) for path in objects(export)]
    return sum(rows for rows, _ in counts), sum(size for _, size in counts)


def expected(volume: Path) -> tuple[int, int]:
    rows = size = 0
    for path in volume.rglob("*.log"):
        with path.open("rb") as file:
            while block := file.read(1 << 24):
                rows, size = rows + block.count(b"\n"), size + len(block)
    return rows, size


def _count(path: Path) -> tuple[int, int]:
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        groups = (
            file.read_row_group(at, columns=["message", "raw", "eol"]) for at in range(file.num_row_groups)
        )
        return _sum(_lines(group) for group in groups)
    with pa.input_stream(path, compression="detect" if path.suffix in (".gz", ".zst") else None) as stream:
        if ".ndjson" in path.name:
            text = pa.schema([("message", pa.string()), ("raw", pa.string()), ("eol", pa.bool_())])
            options = pj.ParseOptions(explicit_schema=text, unexpected_field_behavior="ignore")
            return _lines(pj.read_json(stream, pj.ReadOptions(block_size=8 << 20), options))
        data = stream.read()
        return data.count(b"\n"), len(data)


def _lines(rows: pa.Table) -> tuple[int, int]:
    """Only for data that is all UTF-8: then `raw` is empty."""
    size = pc.sum(pc.binary_length(rows["message"])).as_py() or 0
    return len(rows), size + (pc.sum(rows["eol"]).as_py() or 0)


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    rows = size = 0
    for more_rows, more_size in counts:
        rows, size = rows + more_rows, size + more_size
    return rows, size


def bytes_of(array: pa.Array) -> memoryview:
    """The data of a binary array, all values one after the other."""
    offsets, data = array.buffers()[1:]
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[array.offset] : ends[array.offset + len(array)]]

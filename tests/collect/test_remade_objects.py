"""An object that is gone while its record stands is put again, with the same rows, by whoever comes next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collector_process import joblog
from rebuilt import plain

LAYOUT = "{team}_{namespace}_{pod}"
CONTENTS = {
    "0-unmatched": {"app.log": b"nobody's\n"},
    "blue_shop_mill-x6nnw": {"app.log": b"one\r\n\xff\xfe\nhalf", "err.log": b"x" * 5000 + b"\n\0\n"},
    "red_shop_mill-y7mmv": {"app.log": "é€😀".encode() * 400},
}


def run(root: Path, state: str, export: str) -> None:
    settings = {
        "volumes": [{"path": str(root / "volume"), "layout": LAYOUT, "max_line_bytes": 1024}],
        "to": str(root / "export"),
        "state": str(root / state),
        "format": export,
    }
    config = root / "joblog.yaml"
    config.write_text(json.dumps(settings))
    done = joblog("run", "--config", str(config), "--once", "--complete", "--log-format", "json")
    assert done.code == 0, done.stderr


def sorted_rows(path: Path) -> tuple[pa.Schema | None, list[dict]] | bytes:
    """The object's rows, file by file; a raw object's bytes."""
    if path.name.endswith(".log.zst"):
        return plain(path)
    table = pq.ParquetFile(path).read() if path.suffix == ".parquet" else None
    rows = table.to_pylist() if table else [json.loads(line) for line in plain(path).splitlines()]
    rows.sort(key=lambda row: (row["source"], row["path"], row["offset"]))
    return table.schema if table else None, rows


@pytest.mark.parametrize("export", ["parquet", "ndjson", "raw"])
def test_a_missing_object_is_put_again_with_the_same_rows(tmp_path: Path, export: str):
    """Columns of the layout's own, times and pieces included, though the first source matches no layout."""
    for source, files in CONTENTS.items():
        (tmp_path / "volume" / source).mkdir(parents=True)
        for name, content in files.items():
            (tmp_path / "volume" / source / name).write_bytes(content)
    run(tmp_path, "state", export)
    (path,) = (path for path in (tmp_path / "export/data").rglob("*.*"))
    first = sorted_rows(path)
    path.unlink()
    shutil.rmtree(tmp_path / "state")
    run(tmp_path, "another-state", export)
    assert sorted_rows(path) == first
    assert [found for found in (tmp_path / "export/data").rglob("*.*") if found != path] == []

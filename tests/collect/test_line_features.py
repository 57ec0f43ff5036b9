"""Records of several lines, CRI logs, redaction: collected by a process, proven, read back, put again."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collector_process import JOBLOG, Ended, joblog, verify
from rebuilt import object_rows, plain, rebuilt, rewrite

POD = "shop_mill-x6nnw_10.244.0.7_10.0.0.1_node-1"
KUBELET_POD = "shop_mill-x6nnw_1c9a5b1e-0f6e-4c55-9a3d-6d2b7f6f0a11"
TRACES = b"""no start yet
2026-11-22 one
java.lang.IllegalStateException: no
\tat a.B.c(B.java:1)

2026-11-22 \xff two
\xfe\tat a.B.c(B.java:1)
2026-11-22 last
\thalf"""


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / "volume" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def collect(root: Path, export: str = "parquet", state: str = "state", **volume: object) -> Ended:
    settings = {
        "volumes": [{"path": str(root / "volume"), **volume}],
        "to": str(root / "export"),
        "state": str(root / state),
        "format": export,
    }
    config = root / "joblog.yaml"
    config.write_text(json.dumps(settings))
    return joblog(
        "run", "--config", str(config), "--once", "--complete", "--log-format", "json", "--log-level", "debug"
    )


def proven(root: Path) -> dict:
    """What `verify` says of destination and volume."""
    done = verify("--to", str(root / "export"), "--volume", str(root / "volume"), "-o", "json")
    assert done.code == 0, done.stdout
    return json.loads(done.stdout)


def objects(root: Path) -> list[Path]:
    return sorted((root / "export/data").rglob("*.*"))


def table(path: Path) -> list[dict]:
    """All columns of an object's rows, file by file."""
    if path.suffix == ".parquet":
        rows = pq.ParquetFile(path).read().to_pylist()
    else:
        rows = [json.loads(line) for line in plain(path).splitlines()]
    return sorted(rows, key=lambda row: (row["source"], row["path"], row["offset"]))


def logs(root: Path) -> bytes:
    command = [*JOBLOG, "logs", "shop/mill", "--to", str(root / "export")]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def put_again(root: Path, **settings: object) -> None:
    """The object is gone, and the state: the next collector puts it again, with the same rows."""
    (path,) = objects(root)
    first = table(path)
    path.unlink()
    shutil.rmtree(root / "state")
    done = collect(root, state="another-state", **settings)
    assert done.code == 0, done.stderr
    assert objects(root) == [path]
    assert table(path) == first


@pytest.mark.parametrize("export", ["parquet", "ndjson"])
def test_records_of_several_lines(tmp_path: Path, export: str):
    """Each record is a row; rows and line feeds are the files, byte for byte; put again they are the same."""
    long = b"2026-11-22 long\n" + b"\tat something.Long(Long.java:1)\n" * 3000
    write(tmp_path, {f"{POD}/app.log": TRACES, f"{POD}/long.log": long, f"{POD}/plain.txt": b"a\nb\n"})
    how = {
        "multiline": {"start": r"^\d{4}-\d\d-\d\d", "timeout": "10ms"},
        "export": export,
        "max_line_bytes": 1 << 15,
    }
    done = collect(tmp_path, **how)
    assert done.code == 0, done.stderr
    summary = proven(tmp_path)
    assert rebuilt(tmp_path / "export") == {
        (POD, "app.log"): TRACES,
        (POD, "long.log"): long,
        (POD, "plain.txt"): b"a\nb\n",
    }
    rows = [row for path in objects(tmp_path) for row in object_rows(path) if row["path"] == "app.log"]
    assert [row["message"].split("\n")[0] for row in sorted(rows, key=lambda row: row["offset"])] == [
        "no start yet",
        "2026-11-22 one",
        "2026-11-22 \ufffd two",
        "2026-11-22 last",
    ]
    (receipt,) = [
        json.loads(path.read_bytes()) for path in (tmp_path / "export/_joblog/receipts").rglob("*.json")
    ]
    assert {file["path"]: file["lines"] for file in receipt["files"]} == {
        "app.log": 9,
        "long.log": 3001,
        "plain.txt": 2,
    }
    assert sum(volume["lines"] for volume in summary["volumes"]) == 9 + 3001 + 2
    assert TRACES in logs(tmp_path)
    put_again(tmp_path, **how)


def cri(stream: str, tag: str, message: str | bytes, number: int = 1) -> bytes:
    text = message.encode() if isinstance(message, str) else message
    return (
        f"2026-11-22T09:00:00.{number:09d}Z".rstrip("0").encode()
        + f" {stream} {tag} ".encode()
        + text
        + b"\n"
    )


LONG_OUT = "".join(f"{number:07d} " for number in range(5000))
LONG_ERROR = "é" * 12_000
PARTS = b"".join(
    [
        cri("stdout", "F", "begin", 5_000_000),
        cri("stdout", "P", LONG_OUT[:16384], 6_000_000),
        cri("stderr", "P", LONG_ERROR.encode()[:16383], 7_000_000),
        cri("stdout", "P", LONG_OUT[16384:32768]),
        cri("stderr", "F", LONG_ERROR.encode()[16383:]),
        b"no CRI line\n",
        cri("stdout", "F", LONG_OUT[32768:]),
        cri("stdout", "F", b"\xff bad"),
        cri("stderr", "F", ""),
        cri("stdout", "P", "no end"),
    ]
)


@pytest.mark.parametrize("export", ["parquet", "ndjson"])
def test_logs_of_the_kubelet(tmp_path: Path, export: str):
    """Rotated files too (but no archives): messages are decoded, partial lines joined, `verify` proves the
    rows, the receipt the bytes of the files.
    """
    old = cri("stdout", "F", "before the rotation")
    write(
        tmp_path,
        {
            f"{KUBELET_POD}/main/0.log": PARTS,
            f"{KUBELET_POD}/main/0.log.20261122-080000": old,
            f"{KUBELET_POD}/main/0.log.20261122-070000.gz": gzip.compress(old),
        },
    )
    done = collect(tmp_path, export, layout="kubelet")
    assert done.code == 0, done.stderr
    proven(tmp_path)
    rows = [row for path in objects(tmp_path) for row in table(path)]
    now = [row for row in rows if row["path"] == "main/0.log"]
    assert [(row["message"], row.get("stream"), row["eol"]) for row in now] == [
        ("begin", "stdout", True),
        (LONG_OUT, "stdout", True),
        (LONG_ERROR, "stderr", True),
        ("no CRI line", None, True),
        ("\ufffd bad", "stdout", True),
        ("", "stderr", True),
        ("no end", "stdout", False),
    ]
    assert {row["container"] for row in rows} == {"main"}
    assert {row["path"] for row in rows} == {"main/0.log", "main/0.log.20261122-080000"}
    assert [PARTS[row["offset"] :][:4] for row in now] == [b"2026"] * 3 + [b"no C"] + [b"2026"] * 3
    first = now[0]["time"]
    assert (first if isinstance(first, str) else first.isoformat()).startswith("2026-11-22T09:00:00.005000")
    (receipt,) = [
        json.loads(path.read_bytes()) for path in (tmp_path / "export/_joblog/receipts").rglob("*.json")
    ]
    assert {file["path"]: (file["bytes"], file["lines"]) for file in receipt["files"]} == {
        "main/0.log": (len(PARTS), 10),
        "main/0.log.20261122-080000": (len(old), 1),
    }
    (malformed,) = done.named("lines_malformed")
    assert malformed["rows"] == 1
    assert LONG_ERROR.encode() in logs(tmp_path)
    assert b"stdout" not in logs(tmp_path)
    put_again(tmp_path, export=export, layout="kubelet")


def test_logs_of_the_kubelet_stay_as_they_are_in_raw_objects(tmp_path: Path):
    """A raw object is the files."""
    write(tmp_path, {f"{KUBELET_POD}/main/0.log": PARTS})
    assert collect(tmp_path, "raw", layout="kubelet").code == 0
    proven(tmp_path)
    assert rebuilt(tmp_path / "export") == {(KUBELET_POD, "main/0.log"): PARTS}


SECRETS = (
    b"key AKIA0123456789ABCDEF and AKIAAAAAAAAAAAAAAAAA\nnothing\n"
    b"\xff AKIA0123456789ABCDEF\n\xff plain\nAKIA half"
)


@pytest.mark.parametrize("export", ["parquet", "ndjson"])
def test_no_secret_leaves(tmp_path: Path, export: str):
    """Neither in `message` nor in `raw`; what was replaced is counted, and is no difference to `verify`."""
    write(tmp_path, {f"{POD}/app.log": SECRETS})
    how = {
        "redact": [{"pattern": "AKIA[0-9A-Z]{16}", "with": r"[aws\0]"}, {"pattern": r"\[aws", "with": "<key"}]
    }
    done = collect(tmp_path, export, **how)
    assert done.code == 0, done.stderr
    proven(tmp_path)
    rows = [row for path in objects(tmp_path) for row in object_rows(path)]
    assert [(row["message"], row.get("raw")) for row in sorted(rows, key=lambda row: row["offset"])] == [
        (r"key <key\0] and <key\0]", None),
        ("nothing", None),
        (r"� <key\0]", None),
        ("\ufffd plain", b"\xff plain"),
        ("AKIA half", None),
    ]
    assert sum(event["redactions"] for event in done.named("lines_redacted")) == 6
    for path in objects(tmp_path):
        content = path.read_bytes() if path.suffix == ".parquet" else plain(path)
        assert b"AKIA0" not in content
    put_again(tmp_path, export=export, **how)


def test_rows_that_were_changed_are_found(tmp_path: Path):
    """Rows that are not the file's bytes are proven by their own hash: a changed one is found."""
    write(tmp_path, {f"{KUBELET_POD}/main/0.log": PARTS})
    assert collect(tmp_path, layout="kubelet").code == 0
    (path,) = objects(tmp_path)
    first = pq.ParquetFile(path).read()
    column = first.schema.get_field_index("message")
    changed = pa.array([text.replace("begin", "began") for text in first["message"].to_pylist()])
    for rows, what in (
        (first.set_column(column, first.schema.field(column), changed), "something else"),
        (first.slice(1), "rows are missing"),
        (first.slice(0, 3), "rows are missing"),
        (pa.concat_tables([first, first.slice(6)]), "a row is there again"),
    ):
        rewrite(path, rows)
        done = verify("--to", str(tmp_path / "export"))
        assert done.code == 1
        assert what in done.stdout
    rewrite(path, first)
    assert verify("--to", str(tmp_path / "export")).code == 0
    with (tmp_path / f"volume/{KUBELET_POD}/main/0.log").open("r+b") as file:
        file.write(b"3")
    done = verify(
        "--to", str(tmp_path / "export"), "--volume", str(tmp_path / "volume"), "--layout", "kubelet"
    )
    assert done.code == 1

"""Byte for byte: whatever stands in a file, the export gives it back, in every format and compression."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from collector_process import JOBLOG, Ended, joblog, verify
from rebuilt import object_rows, rebuilt, receipts

KIB, MIB = 1 << 10, 1 << 20
LIMIT = KIB
"""The least that `max_line_bytes` may be, so that long lines stay small."""

POD = "shop_mill-x6nnw_10.244.0.7_10.0.0.1_node-1"
EURO, SMILE = "€".encode(), "😀".encode()
HOLE = b"before\n" + bytes(MIB - 7) + b"behind\n"

CONTENTS = {
    "empty": b"",
    "one-byte": b"x",
    "one-line-feed": b"\n",
    "only-line-feeds": b"\n" * 5000,
    "unterminated": b"one\ntwo",
    "crlf": b"one\r\n\r\ntwo\r\r\n\r",
    "nul": b"\0\n\0\0\na\0b\n\0",
    "utf-16": "héllo\nwörld\n".encode("utf-16"),
    "latin-1": "héllo\nwörld".encode("latin-1"),
    "wrong-utf-8": b"\xff\n\xc0\xaf\n\xed\xa0\x80\nok\n\xe2\x82\n\xf4\x90\x80\x80\n\x80",
    "replacement": "\ufffd\n\ufeffbom\u2028\u2029\x85\n".encode(),
    "escapes": b'"\\\t\x1b[31m\x07\x7f\n' + bytes(range(10)) + bytes(range(11, 256)) + b"\n",
    "short-of-limit": b"x" * (LIMIT - 1) + b"\n",
    "limit": b"x" * LIMIT + b"\n" + b"y" * LIMIT,
    "beyond-limit": b"x" * (LIMIT + 1) + b"\n" + b"y" * (LIMIT + 1),
    "twice-limit": b"x" * (2 * LIMIT) + b"\n" + b"y" * (2 * LIMIT),
    "characters-across-cuts": b"x" + EURO * LIMIT + b"\n" + b"xx" + SMILE * LIMIT,
    "continuations": b"\x80" * (5 * LIMIT) + b"\n",
    "random": random.Random(1).randbytes(300 * KIB),  # noqa: S311 - the bytes of a test, no secret
    "long-between-short": b"a\n" + b"x" * (200 * KIB) + b"\nb\n",
}
MATRIX = [
    ("parquet", "zstd"),
    ("parquet", "none"),
    ("ndjson", "zstd"),
    ("ndjson", "gzip"),
    ("raw", "gzip"),
    ("raw", "none"),
    pytest.param("parquet", "gzip", marks=pytest.mark.soak),
    pytest.param("ndjson", "none", marks=pytest.mark.soak),
    pytest.param("raw", "zstd", marks=pytest.mark.soak),
]


@dataclass(frozen=True)
class Site:
    """A volume, and the settings of its collector in a file."""

    root: Path
    volume: Path
    to: Path
    config: Path

    def run(self) -> Ended:
        return joblog("run", "--config", str(self.config), "--once", "--complete", "--log-format", "json")

    def verify(self) -> Ended:
        return verify("--config", str(self.config), "--volume", str(self.volume))

    def log(self, name: str) -> bytes:
        """What `joblog logs` writes into a pipe."""
        command = [*JOBLOG, "logs", f"shop/{name}", "--to", str(self.to)]
        return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def make_site(root: Path, export: str, compression: str, max_line_bytes: int = LIMIT) -> Site:
    volume, to, config = root / "volume", root / "export", root / "joblog.yaml"
    volume.mkdir()
    settings = {
        "volumes": [{"path": str(volume), "max_line_bytes": max_line_bytes}],
        "to": str(to),
        "state": str(root / "state"),
        "format": export,
        "compression": compression,
    }
    config.write_text(json.dumps(settings))
    return Site(root, volume, to, config)


def assert_proved(site: Site) -> None:
    proof = site.verify()
    assert proof.code == 0, proof.stdout + proof.stderr


@pytest.mark.parametrize(("export", "compression"), MATRIX)
def test_every_file_comes_back(tmp_path: Path, export: str, compression: str):
    """Rebuilt from the export alone each file is what it was; `verify` proves it; `logs` gives the bytes."""
    site = make_site(tmp_path, export, compression)
    for name, content in CONTENTS.items():
        folder = site.volume / POD.replace("mill", name)
        folder.mkdir()
        (folder / "app.log").write_bytes(content)
    run = site.run()
    assert run.code == 0, run.stderr
    expected = {(POD.replace("mill", name), "app.log"): content for name, content in CONTENTS.items()}
    assert rebuilt(site.to) == expected
    assert_proved(site)
    assert site.log("random") == CONTENTS["random"]


@pytest.mark.parametrize("export", ["parquet", "raw"])
def test_large_files_that_go_on_are_proved(tmp_path: Path, export: str):
    """Files of many reads, collected by one process after the other: `verify` finds in each span the rows and
    bytes that its hash is of, also where it begins within a file.
    """
    site = make_site(tmp_path, export, "none")
    draw = random.Random(2)  # noqa: S311 - the bytes of a test, no secret
    for megabytes in (5, 7):
        for name in ("one", "other"):
            folder = site.volume / POD.replace("mill", name)
            folder.mkdir(exist_ok=True)
            more = b"".join(
                b"%0*d\n" % (draw.randrange(1, LIMIT), number) for number in range(megabytes << 11)
            )
            with (folder / "app.log").open("ab") as log:
                log.write(more)
        run = site.run()
        assert run.code == 0, run.stderr
    assert_proved(site)


def test_each_line_is_cut_where_the_contract_says(tmp_path: Path):
    """Pieces are as long as they may be, never cut a character, and only the last has its `eol`."""
    site = make_site(tmp_path, "parquet", "zstd")
    (site.volume / POD).mkdir()
    for name in ("limit", "beyond-limit", "characters-across-cuts", "unterminated", "empty"):
        (site.volume / POD / name).write_bytes(CONTENTS[name])
    assert site.run().code == 0
    (data,) = (site.to / "data").rglob("*.parquet")
    rows = object_rows(data)
    assert all(row["raw"] is None for row in rows)

    def lengths(name: str) -> list[tuple[int, bool]]:
        mine = sorted((row for row in rows if row["path"] == name), key=lambda row: row["offset"])
        return [(len(row["message"].encode()), row["eol"]) for row in mine]

    assert lengths("limit") == [(LIMIT, True), (LIMIT, False)]
    assert lengths("beyond-limit") == [(LIMIT, False), (1, True), (LIMIT, False), (1, False)]
    assert lengths("unterminated") == [(3, True), (3, False)]
    assert lengths("empty") == []
    euro = [(1 + 341 * 3, False), *[(341 * 3, False)] * 2, (3 * (LIMIT - 3 * 341), True)]
    smile = [(2 + 255 * 4, False), *[(LIMIT, False)] * 3, (4, False)]
    assert lengths("characters-across-cuts") == euro + smile


@pytest.mark.parametrize("export", ["parquet", "ndjson", "raw"])
def test_holes_are_skipped_and_come_back(tmp_path: Path, export: str):
    """Offsets jump over a hole, the receipt lists it, and the file made again has it, at its end too."""
    site = make_site(tmp_path, export, "zstd")
    (site.volume / POD).mkdir()
    with (site.volume / POD / "app.log").open("wb") as file:
        file.write(b"before\nhalf")
        file.seek(MIB)
        file.write(b"behind\n")
        file.truncate(3 * MIB)
    content = (site.volume / POD / "app.log").read_bytes()
    assert site.run().code == 0
    assert rebuilt(site.to) == {(POD, "app.log"): content}
    (listed,) = receipts(site.to)[POD]["files"]
    assert [end for _, end in listed["holes"]] == [MIB, 3 * MIB]
    assert listed["bytes"] == 3 * MIB - sum(end - start for start, end in listed["holes"])
    assert_proved(site)


def test_more_short_lines_than_one_arena_may_give(tmp_path: Path):
    """What an arena holds beyond its lines is read again later: nothing is missing or there twice."""
    site = make_site(tmp_path, "raw", "zstd", MIB)
    (site.volume / POD).mkdir()
    contents = {f"{name}.log": name.encode() + b"\n\n" * 200_000 + b"half" for name in ("a", "b", "c")}
    for name, content in contents.items():
        (site.volume / POD / name).write_bytes(content)
    assert site.run().code == 0
    assert rebuilt(site.to) == {(POD, name): content for name, content in contents.items()}
    assert {file["lines"] for file in receipts(site.to)[POD]["files"]} == {400_001}
    assert_proved(site)


MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10, file=sys.stderr)
sys.exit(code)
"""
"""A small process between test and collector: what a child is forked from counts as its memory too."""


def measured(*arguments: str) -> tuple[int, int]:
    """Exit code of a command, and the most memory that it had, in bytes."""
    command = [sys.executable, "-c", MEASURED, *JOBLOG, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=280, check=False
    )
    return done.returncode, int(done.stderr.split()[-1])


@pytest.mark.parametrize(
    ("export", "compression"), [("parquet", "zstd"), ("ndjson", "zstd"), ("raw", "zstd")]
)
def test_a_line_of_100_mb_needs_no_more_memory(tmp_path: Path, export: str, compression: str):
    """It comes in pieces of 1 MiB, within the default memory, between two lines that are not hurt by it."""
    site = make_site(tmp_path, export, compression, MIB)
    (site.volume / POD).mkdir()
    with (site.volume / POD / "app.log").open("wb") as file:
        file.write(b"before\n")
        block = "0123456789€".encode() * 10_000
        for _ in range(100_000_000 // len(block)):
            file.write(block)
        file.write(b"\nafter\n")
    run = ("run", "--config", str(site.config), "--once", "--complete")
    code, memory = measured(*run)
    assert code == 0
    assert memory < 512 * MIB
    assert rebuilt(site.to) == {(POD, "app.log"): (site.volume / POD / "app.log").read_bytes()}
    code, memory = measured("verify", "--config", str(site.config), "--volume", str(site.volume))
    assert code == 0
    assert memory < 512 * MIB


@pytest.mark.parametrize("export", ["parquet", "raw", pytest.param("ndjson", marks=pytest.mark.soak)])
def test_millions_of_empty_lines_need_no_more_memory(tmp_path: Path, export: str):
    """A row costs more than its one byte: rows are bounded as bytes are."""
    site = make_site(tmp_path, export, "zstd", MIB)
    (site.volume / POD).mkdir()
    (site.volume / POD / "app.log").write_bytes(b"\n" * (16 * MIB))
    code, memory = measured("run", "--config", str(site.config), "--once", "--complete")
    assert code == 0
    assert memory < 512 * MIB
    assert_proved(site)

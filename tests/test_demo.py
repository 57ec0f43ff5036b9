"""The demo is the first thing that a new user runs: it is run here as they run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest


def run_demo(tmp_path, *options):
    command = [sys.executable, "-m", "collector", "demo", *options]
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "JOBLOG_FORMAT": "raw",
    }  # meant for another collector
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_demo_shows_complete_jobs_and_a_clean_proof(tmp_path):
    """It ends with exit code 0, every Job complete, the cut last line of a dead Job, and a clean verify;
    DuckDB answers the query as it stands, with what is shown. No temporary folder is left behind.
    """
    export, temporary = tmp_path / "export", tmp_path / "tmp"
    temporary.mkdir()
    done = run_demo(temporary, "--to", str(export))
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines() if " yes " in line]
    assert len(table) >= 36
    assert any(row[1].startswith("nightly-") for row in table), "a CronJob"
    assert any(row[1].startswith("shards-") for row in table), "an indexed Job"
    assert any(int(row[4]) == 3 for row in table), "one that exits at once"
    assert " no " not in done.stdout
    assert "each byte is there once" in done.stdout
    check_log(done.stdout, export)
    check_query(done.stdout)
    assert list(temporary.iterdir()) == []


def check_log(shown, export):
    """The lines that are shown are the end of a log that ends in half a line."""
    command, *lines = shown.split("5. The log")[1].split("\n\n")[0].splitlines()[1:]
    target = re.search(r"joblog logs (\S+) --to", command)[1]
    logs = [sys.executable, "-m", "collector", "logs", target, "--to", str(export)]
    whole = subprocess.run(logs, capture_output=True, text=True, check=True).stdout
    assert not whole.endswith("\n")
    assert whole.splitlines()[-6:] == lines


def check_query(shown):
    query, _, table = shown.split("DuckDB, say:\n")[1].partition("NAMESPACE")
    answer = duckdb.connect().execute(query).fetchall()
    assert [[str(value) for value in row] for row in answer] == [
        line.split() for line in table.splitlines()[1:6]
    ]


def test_demo_into_s3(tmp_path, s3_url):
    """The same into a real HTTP endpoint with conditional puts. `--keep` leaves the volume and says where."""
    done = run_demo(tmp_path, "--to", s3_url, "--keep")
    assert done.returncode == 0, done.stderr
    assert "each byte is there once" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert f"Kept: {folder}" in done.stdout
    assert len(list((folder / "volume").iterdir())) >= 36


def test_demo_refuses_an_export_that_is_in_use(tmp_path):
    """Demo Jobs never get into an export that is there already: exit code 2, and one line that says so."""
    (tmp_path / "export" / "_joblog/commits/prod/000").mkdir(parents=True)
    (tmp_path / "export" / "_joblog/commits/prod/000/000000000000.json").write_text("{}")
    done = run_demo(tmp_path, "--to", str(tmp_path / "export"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "there is an export in" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_demo_that_is_interrupted_leaves_nothing(tmp_path, number, code):
    """Told to stop while Jobs run, it ends with the signal's code; no folder and no collector is left."""
    command = [sys.executable, "-m", "collector", "demo"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        while not (line := process.stdout.readline()).startswith("2. "):
            assert line, "it ended before any Job began"
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == code
    assert list(tmp_path.iterdir()) == []
    assert not [words for words in command_lines() if os.fsencode(tmp_path) in words]


def command_lines():
    """Those of all processes. One that ends meanwhile is none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            yield path.read_bytes()

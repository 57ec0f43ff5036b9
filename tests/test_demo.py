"""The demo is the first thing that a new user runs: it is run here as they run it."""

from __future__ import annotations

import os
import subprocess
import sys


def run_demo(tmp_path, *options):
    command = [sys.executable, "-m", "collector", "demo", *options]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def test_demo_shows_complete_jobs_and_a_clean_proof(tmp_path):
    """It ends with exit code 0, every Job complete, the cut last line of a dead Job, and a clean verify;
    and it leaves nothing behind.
    """
    done = run_demo(tmp_path)
    assert done.returncode == 0, done.stderr
    table = [line.split() for line in done.stdout.splitlines() if " yes " in line]
    assert len(table) >= 36
    assert any(row[1].startswith("nightly-") for row in table), "a CronJob"
    assert any(row[1].startswith("shards-") for row in table), "an indexed Job"
    assert any(int(row[4]) == 3 for row in table), "one that exits at once"
    assert " no " not in done.stdout
    assert "each byte is there once" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_demo_into_s3(tmp_path, s3_url):
    """The same into a real HTTP endpoint with conditional puts. `--keep` leaves the volume and says where."""
    done = run_demo(tmp_path, "--to", s3_url, "--keep")
    assert done.returncode == 0, done.stderr
    assert "each byte is there once" in done.stdout
    (folder,) = tmp_path.iterdir()
    assert f"Kept: {folder}" in done.stdout
    assert len(list((folder / "volume").iterdir())) >= 36

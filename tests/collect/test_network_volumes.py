"""Jobs write through one mount of a real network file system, and the collector reads through another."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector_process import Site, wait_until
from test_many_jobs import rows_per_source

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

JOBS = 2000
LINES = 20
WITHIN_SECONDS = 600


class Mounts:
    """Two mounts of one file system: where Jobs write, and where the collector reads."""

    def __init__(self, script: Path) -> None:
        up = subprocess.run([script, "up"], check=True, stdout=subprocess.PIPE, text=True)
        found = dict(re.findall(r"(\w+)=(\S+)", up.stdout))
        folder = f"joblog-{time.time_ns()}"
        self.written, self.read = (Path(found[name], folder) for name in ("VOLUME_A", "VOLUME_B"))
        self.written.mkdir()
        wait_until("the folder on the other mount", self.read.is_dir)


@pytest.fixture(params=["cephfs", "gluster"])
def mounts(request: pytest.FixtureRequest) -> Iterator[Mounts]:
    """CephFS, and Gluster with ten seconds of attribute cache on the collector's side; left running."""
    parts = os.environ.get("JOBLOG_REAL_PARTS")
    if not parts:
        pytest.skip("JOBLOG_REAL_PARTS does not name the folder of the scripts that start real file systems")
    yield Mounts(Path(parts, f"{request.param}.sh"))


def play(volume: Path, lines: Counter[str]) -> None:
    """2,000 Jobs, one after the other: some lines in two writes, then the file that says that it is done."""
    for number in range(JOBS):
        name = f"shop_net-{number:05d}_10.244.0.7_10.0.0.1_node-1"
        folder = volume / name
        folder.mkdir()
        with (folder / "app.log").open("wb", buffering=0) as file:
            for part in range(2):
                file.write(b"".join(b"part %d line %d\n" % (part, line) for line in range(LINES // 2)))
        (folder / "tombstone").write_text("0")
        lines[name] = LINES


def test_two_thousand_jobs_through_another_mount(mounts: Mounts, tmp_path: Path, start):
    """All lines, each once, and a receipt for each Job, however late the other mount shows them."""
    site = Site(mounts.read, str(tmp_path / "export"), tmp_path / "state", ("--batch-max-age", "1s"))
    collector = start(site)
    started = collector.wait_for("collector_started")
    assert started["watch"] == "poll"
    lines: Counter[str] = Counter()
    writer = threading.Thread(target=play, args=(mounts.written, lines))
    began = time.monotonic()
    writer.start()
    writer.join()
    written = time.monotonic()
    collector.wait_for("receipt_written", JOBS, within=WITHIN_SECONDS)
    done = time.monotonic()
    assert collector.stop() == 0
    assert rows_per_source(site.to) == lines
    assert collector.named("bytes_lost") == []
    assert site.verify().code == 0
    print(f"written in {written - began:.1f} s, the last receipt {done - written:.1f} s later")  # noqa: T201 # figures

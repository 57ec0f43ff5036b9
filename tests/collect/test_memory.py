"""Memory stays below `limits.memory`, however long the destination is down; then all is delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from collector_process import WITHIN_SECONDS, Collector, Site
from faulty_proxy import Fault, FaultyProxy, slow

WRITER = Path(__file__).with_name("steady_writer.py")
BYTES_PER_SECOND = 50e6
OUTAGE_SECONDS = float(os.environ.get("JOBLOG_TEST_OUTAGE_SECONDS", "300"))
DELIVERED_BYTES_PER_SECOND = 10e6
"""By far less than the collector delivers; the store of the test and the machine may be slow."""

Start = Callable[..., Collector]


@pytest.fixture
def faulty(moto, monkeypatch) -> Iterator[FaultyProxy]:
    moto.use(monkeypatch)
    proxy = FaultyProxy(moto.url)
    yield proxy
    proxy.close()


@pytest.fixture
def away(faulty: FaultyProxy, moto, volume: Path, tmp_path: Path) -> Site:
    """A site whose store is reached through a proxy."""
    to = moto.store_url(moto.new_bucket()).replace(moto.url, faulty.url)
    return Site(volume, to, tmp_path / "state", ("--batch-max-age", "1s"))


def configured(site: Site, tmp_path: Path, memory: str, export: str, compression: str) -> Site:
    path = tmp_path / "joblog.yaml"
    path.write_text(f"format: {export}\ncompression: {compression}\nlimits: {{memory: {memory}}}\n")
    return site.having("--config", str(path))


def peak_bytes(pid: int) -> int:
    """The most memory that the process ever had: VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def written_while_down(site: Site, faulty: FaultyProxy, start: Start, seconds: float) -> Collector:
    """A collector whose store went away when the Jobs began, and came back when they had ended."""
    collector = start(site)
    collector.wait_for("collector_started")
    faulty.down()
    write(site.volume, seconds)
    collector.wait_for("destination_failing", 2)
    assert not collector.named("batch_committed")
    return collector


def write(volume: Path, seconds: float) -> None:
    arguments = [str(volume), str(BYTES_PER_SECOND), str(seconds)]
    subprocess.run([sys.executable, str(WRITER), *arguments], check=True, stdout=subprocess.DEVNULL)


def assert_delivered(site: Site, collector: Collector, memory_bytes: int, within: float) -> None:
    jobs = len(list(site.volume.iterdir()))
    while_down = peak_bytes(collector.pid)
    assert while_down < memory_bytes, f"{while_down >> 20} MiB while the store was down"
    collector.wait_for("receipt_written", jobs, within)
    at_all = peak_bytes(collector.pid)
    assert at_all < memory_bytes, (
        f"{at_all >> 20} MiB in all, {while_down >> 20} MiB while the store was down"
    )
    assert collector.stop() == 0
    size = sum(path.stat().st_size for path in site.volume.glob("*/*.log"))
    assert sum(event["bytes"] for event in collector.named("receipt_written")) == size

    proof = site.verify()
    assert proof.code == 0, proof.stdout


def test_memory_while_the_store_is_down(
    away: Site, faulty: FaultyProxy, start: Start, tmp_path: Path
) -> None:
    """With the least `limits.memory` that is allowed, and more written than that while the store is down,
    the peak stays below it, then and afterwards; every file is delivered, as its receipt proves. JSON that
    is not compressed takes the most.
    """
    site = configured(away, tmp_path, "256MiB", "ndjson", "none")
    collector = written_while_down(site, faulty, start, 3)
    faulty.up()
    assert_delivered(site, collector, 256 << 20, WITHIN_SECONDS)


def test_memory_of_once_with_a_slow_store(
    away: Site, faulty: FaultyProxy, start: Start, tmp_path: Path
) -> None:
    """`--once` waits for the store as a running collector does: what was read does not pile up in memory."""
    site = configured(away, tmp_path, "256MiB", "ndjson", "none")
    write(site.volume, 2)
    faulty.add(Fault(slow(0.1), ("PUT",), "/data/"))
    collector = start(site, "--once", "--complete")
    peak = 0
    while collector.is_running:
        with suppress(FileNotFoundError, StopIteration):  # it may just have ended
            peak = max(peak, peak_bytes(collector.pid))
        time.sleep(0.05)
    assert collector.wait() == 0
    assert 0 < peak < 256 << 20, f"{peak >> 20} MiB"


@pytest.mark.soak
@pytest.mark.timeout(120 + OUTAGE_SECONDS * (2 + BYTES_PER_SECOND / DELIVERED_BYTES_PER_SECOND))
def test_memory_in_a_long_outage(away: Site, faulty: FaultyProxy, start: Start, tmp_path: Path) -> None:
    """With the default limit, and Jobs that write 50 MB/s for five minutes (JOBLOG_TEST_OUTAGE_SECONDS) while
    the store refuses connections, the peak stays below it; afterwards all is delivered.
    """
    site = configured(away, tmp_path, "512MiB", "parquet", "zstd")
    collector = written_while_down(site, faulty, start, OUTAGE_SECONDS)
    faulty.up()
    within = WITHIN_SECONDS + OUTAGE_SECONDS * BYTES_PER_SECOND / DELIVERED_BYTES_PER_SECOND
    assert_delivered(site, collector, 512 << 20, within)

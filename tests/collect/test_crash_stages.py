"""A collector dies before and after each of its stages, and the next start makes all good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from collector_process import Site
from crash_at import POINTS
from exported import assert_exactly_once, keys

LINES = "".join(f"line {number:05d}\n" for number in range(1000))
CRASHER = Path(__file__).with_name("crash_at.py")


def crash(site: Site, point: str) -> None:
    done = subprocess.run(
        [sys.executable, str(CRASHER), point, *site.arguments("--once", "--complete")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def assert_mended(site: Site) -> None:
    """Each line is there once, with one receipt; a further start writes nothing."""
    once = site.once("--complete")
    assert once.code == 0, once.stderr
    assert not once.named("bytes_lost")
    assert assert_exactly_once(site.volume, site.to) == 1001
    assert len(keys(site.to, "_joblog/receipts/")) == 1
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def written(site: Site) -> None:
    """A file, and one that ends without a line feed."""
    (site.source() / "app.log").write_text(LINES)
    rest = site.source() / "err.log"
    rest.write_text("an unterminated line")
    os.utime(rest, (0, 0))  # nobody has written to it for long, so that it is not waited for


KEY_POINTS = {
    "shard taken: after",
    "record claimed: after",
    "object put: after",
    "commit noted: after",
    "receipt put: after",
}
"""Those after which something stands that did not before; the others are for `make long`."""


@pytest.mark.parametrize(
    "point",
    [pytest.param(point, marks=() if point in KEY_POINTS else pytest.mark.soak) for point in POINTS],
)
def test_a_crash_there_needs_no_repair(local_site: Site, point: str) -> None:
    """The process kills itself at this point: the next start needs no flag, and delivers each line once."""
    written(local_site)
    crash(local_site, point)
    assert_mended(local_site)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
def test_a_crash_there_needs_no_repair_on_s3(volume: Path, s3_url: str, tmp_path: Path, point: str) -> None:
    """The same on S3."""
    site = Site(volume, s3_url, tmp_path / "state")
    written(site)
    crash(site, point)
    assert_mended(site)


@pytest.mark.parametrize(
    "point",
    [
        "object put: after",
        pytest.param("object put: before", marks=pytest.mark.soak),
        pytest.param("commit noted: after", marks=pytest.mark.soak),
    ],
)
def test_a_crash_while_a_crash_is_mended(local_site: Site, point: str) -> None:
    """The first dies between record and object, the next while it completes that; the third mends it."""
    written(local_site)
    crash(local_site, "record claimed: after")
    crash(local_site, point)
    assert_mended(local_site)

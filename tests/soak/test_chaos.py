"""The promise under everything at once: kills, take-overs, lost states, rotations and outages at random."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import boto3
import pytest
from chaos import SHARDS, WRITERS, Chaos, ChaosWriter
from collector_process import Site, joblog
from outages import FaultyProxy, FolderOutages, Outages
from tally import tally

SECONDS = float(os.environ.get("JOBLOG_SOAK_SECONDS", "1200"))
SEED = os.environ.get("JOBLOG_SOAK_SEED") or uuid.uuid4().hex[:8]
PART = 0.36
"""Of the whole time, for each destination; the comparison at its end and other long tests need the rest."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Ground:
    """`to` is the destination as collectors see it, with its `outages`; `direct` is the same without them."""

    to: str
    direct: str
    outages: Outages


@pytest.fixture(params=["file", "s3"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    if request.param == "file":
        outages: Outages = FolderOutages(tmp_path / "export")
        yield Ground(str(tmp_path / "export"), str(tmp_path / "export"), outages)
        outages.close()
        return
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    script = Path(__file__).with_name("moto_process.py")
    moto = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert moto.stdout is not None
    endpoint = f"http://127.0.0.1:{moto.stdout.readline().strip()}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="soak")
    proxy = FaultyProxy(endpoint, SEED)
    url = "s3://soak/prefix?endpoint_url={}&path_style=true"
    yield Ground(url.format(proxy.url), url.format(endpoint), proxy)
    proxy.close()
    moto.kill()
    moto.wait()


def test_each_line_once_whatever_happens(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Collectors of two shards are killed, stopped, taken over, paused, robbed of their state, and cut off
    from their destination at random, while Jobs write, rotate in both ways, end and write on. Then a last
    `--once --complete`: each line is in the destination once, nothing is lost, `verify` is content.
    """
    kind = "s3" if ground.to.startswith("s3:") else "file"
    seed = f"{SEED}-{kind}"
    with capsys.disabled():
        sys.stdout.write(f"\n{kind}: JOBLOG_SOAK_SEED={SEED}, {SECONDS * PART:.0f} s\n")
    volume = tmp_path / "volume"
    volume.mkdir()
    site = Site(volume, ground.to, tmp_path / "state", ("--batch-max-age", "200ms", "--shards", str(SHARDS)))
    draw = Random(seed)  # noqa: S311 - what happens next is no secret
    with ExitStack() as stack:
        chaos = Chaos(site, ground.outages, draw, stack)
        writers = [ChaosWriter(volume, f"w{number:03d}", f"{seed}-{number}") for number in range(WRITERS)]
        for writer in writers:
            stack.callback(writer.abandon)
        chaos.run(SECONDS * PART)
        wrote = {writer.tag: writer.stop() for writer in writers}
        last = chaos.finish()
    began = time.monotonic()
    final = Site(volume, ground.direct, last.state, site.options)
    once = joblog(*final.arguments("--once", "--complete"), within=600)
    assert once.code == 0, once.stderr[-3000:]
    assert not once.named("bytes_lost")
    found = tally(ground.direct, {tag: each.lines for tag, each in wrote.items()})
    proof = joblog("verify", "--to", ground.direct, "--volume", str(volume), within=600)
    with capsys.disabled():
        rotations = sum(each.rotations for each in wrote.values())
        sys.stdout.write(
            f"{kind}: {found.written} lines written, {found.delivered} in the destination, "
            f"{found.missing} missing, {found.twice} twice, {found.strange} never written; "
            f"{rotations} rotations\n"
            + "".join(f"  {count} {what}\n" for what, count in chaos.counts.most_common())
            + f"  last run, comparison and verify: {time.monotonic() - began:.0f} s\n"
        )
    assert (found.missing, found.twice, found.strange) == (0, 0, 0), found.examples
    assert found.delivered == found.written
    assert proof.code == 0, proof.stdout[-3000:]

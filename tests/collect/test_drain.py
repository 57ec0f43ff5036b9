"""How collecting ends: told to stop, nothing more to read, sources that are finished or gone; receipts."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from collector_process import AS_ANYBODY, Collector, Site, joblog, wait_until
from exported import assert_exactly_once, keys, objects, rows, written
from hanging_mount import HangingMount, waits_for_a_mount

Start = Callable[..., Collector]

LINES = "".join(f"line {number:05d}\n" for number in range(1000))
OTHERS = "".join(f"other {number:05d}\n" for number in range(1500))
GRACE_SECONDS = 30
"""Kubernetes waits so long after SIGTERM, then it kills."""


def receipts(site: Site) -> dict[str, dict[str, Any]]:
    """By key below the folder of receipts."""
    folder = "_joblog/receipts/"
    return {key.removeprefix(folder): json.loads(body) for key, body in objects(site.to, folder).items()}


def receipt(site: Site, source: Path, revision: int = 1) -> dict[str, Any]:
    return receipts(site)[f"shop/{source.name}.default.{revision}.json"]


def assert_verified(site: Site) -> None:
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[HangingMount]:
    mount = HangingMount(tmp_path)
    yield mount
    mount.close()


# --- told to stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(local_site: Site, start: Start, number: int) -> None:
    """SIGTERM and SIGINT: what was read, though its batch is far from due, is sealed, shipped and committed;
    exit code 0. The next start has nothing left to do.
    """
    site = replace(local_site, options=("--batch-max-age", "1h"))
    (site.source() / "app.log").write_text(LINES)
    collector = start(site, "--log-level", "debug")
    collector.wait_for("scan_done")
    assert not collector.named("batch_committed")
    assert collector.stop(number) == 0
    assert len(collector.named("batch_committed")) == 1
    assert len(collector.named("collector_stopped")) == 1
    assert assert_exactly_once(site.volume, site.to) == 1000
    before = keys(site.to)
    assert site.once().code == 0
    assert keys(site.to) == before


@pytest.mark.soak  # it waits for nearly all of the grace
def test_a_destination_that_hangs_does_not_hold_up_the_end(hindered, start: Start) -> None:
    """SIGTERM while the destination does not answer: exit code 1 within the grace that Kubernetes gives,
    one line that says that nothing is lost, nothing claimed any more; and the next start collects it.
    """
    site = hindered.site
    (site.source() / "app.log").write_text(LINES)
    put = hindered.proxy.trap("PUT", "/commits/default/000/000000000001.json")
    collector = start(site)
    put.wait()
    began = time.monotonic()
    assert collector.stop() == 1
    assert time.monotonic() - began < GRACE_SECONDS
    assert sum(line.startswith("joblog: error: ") for line in collector.lines) == 1, collector.log
    assert "nothing is lost" in collector.log
    put.drop()
    assert keys(hindered.direct.to, "data/") == []
    assert site.once().code == 0
    assert assert_exactly_once(site.volume, hindered.direct.to) == 1000
    assert_verified(site)


@pytest.mark.soak  # it waits for nearly all of the grace
def test_a_folder_that_hangs_does_not_hold_up_the_end(
    local_site: Site, start: Start, hanging: HangingMount
) -> None:
    """The same where the destination is a folder on a mount whose server answers no more."""
    site = replace(local_site, to=f"{hanging.path}/export")
    (site.source() / "app.log").write_text(LINES)
    collector = start(site)
    collector.wait_for("batch_committed")
    hanging.stop()
    append(site.source() / "app.log", OTHERS)
    wait_until("the collector hangs", lambda: waits_for_a_mount(collector.pid))
    began = time.monotonic()
    assert collector.stop() == 1
    assert time.monotonic() - began < GRACE_SECONDS
    assert "nothing is lost" in collector.log
    hanging.go_on()
    assert site.once().code == 0
    assert assert_exactly_once(site.volume, site.to) == 2500
    assert_verified(site)


def test_a_destination_that_fails_at_the_start_does_not_hold_up_the_end(hindered, start: Start) -> None:
    """SIGTERM while the collector still tries to take its shard: it has read nothing, and ends at once."""
    hindered.proxy.refuse("PUT")
    collector = start(hindered.site)
    collector.wait_for("destination_failing")
    assert collector.stop(within=5) == 3
    assert sum(line.startswith("joblog: error: ") for line in collector.lines) == 1, collector.log
    assert keys(hindered.direct.to) == []


# --- nothing more to read


def test_once_twice_writes_nothing_the_second_time(site: Site) -> None:
    """`--once` over a tree that it knows: no new key in the destination at all. So too with `--complete`."""
    for pod in ("one-bcdfg", "two-bcdfg"):
        (site.source(pod) / "app.log").write_text(LINES)
    (site.source("one-bcdfg") / "tombstone").write_text("0\n")
    (site.source("one-bcdfg") / "empty.log").touch()
    for options in ((), ("--complete",)):
        first = site.once(*options)
        assert first.code == 0, first.stderr
        before = keys(site.to)
        again = site.once(*options)
        assert again.code == 0, again.stderr
        assert keys(site.to) == before
    assert assert_exactly_once(site.volume, site.to) == 2000
    assert_verified(site)


def test_once_takes_the_last_line_without_line_feed(local_site: Site) -> None:
    """An unterminated last line is taken as it is, after some patience, or at once with `--complete`."""
    site = local_site
    log = site.source() / "app.log"
    log.write_text("whole\nhalf")
    old = time.time() - 3600
    os.utime(log, (old, old))
    assert site.once().code == 0
    assert [(row["message"], row["eol"]) for row in rows(site.to)] == [("whole", True), ("half", False)]
    log.write_text("whole\nhalf of it, now whole\nand half")
    assert site.once("--complete").code == 0
    assert "".join(str(row["message"]) + "\n" * bool(row["eol"]) for row in rows(site.to)) == log.read_text()
    assert_verified(site)


def test_once_while_a_job_writes_comes_to_an_end(local_site: Site, write) -> None:
    """`--once` takes what is there and ends, though more keeps coming; the next one goes on from there."""
    site = local_site
    writer = write(site.volume, "w", 5000)
    wait_until("something is written", lambda: written(site.volume))
    once = site.once()
    assert once.code == 0, once.stderr
    assert rows(site.to)
    writer.stop()
    assert site.once().code == 0
    assert_exactly_once(site.volume, site.to)


def test_once_with_a_file_that_it_may_not_read_is_incomplete(local_site: Site) -> None:
    """A file that cannot be read: exit code 1 and a log line that names it; all others are collected.
    When it can be read, the next `--once` collects it.
    """
    site = local_site
    secret = site.source() / "secret.log"
    secret.write_text(OTHERS)
    secret.chmod(0)
    (site.source() / "app.log").write_text(LINES)
    once = joblog(*site.arguments("--once"), prefix=AS_ANYBODY)
    assert once.code == 1, once.stderr
    assert {event["path"] for event in once.named("file_unreadable")} == {"secret.log"}
    assert len(rows(site.to)) == 1000
    secret.chmod(0o644)
    assert joblog(*site.arguments("--once"), prefix=AS_ANYBODY).code == 0
    assert assert_exactly_once(site.volume, site.to) == 2500


def test_a_destination_that_was_emptied_is_refused(local_site: Site) -> None:
    """A checkpoint that knows more than its destination holds: `--once` does not say that all is done, but
    that the destination was changed; with an empty state folder all is collected anew.
    """
    site = local_site
    (site.source() / "app.log").write_text(LINES)
    assert site.once().code == 0
    shutil.rmtree(site.to)
    refused = site.once()
    assert refused.code == 3, refused.stderr
    assert len(refused.errors) == 1
    assert "empty state folder" in refused.errors[0]
    shutil.rmtree(site.state)
    assert site.once().code == 0
    assert assert_exactly_once(site.volume, site.to) == 1000


# --- receipts


def read_in_two_starts(site: Site, log: Path) -> None:
    """The second start does not know the hash of what the first one read."""
    for _ in range(2):
        append(log, LINES)
        assert site.once().code == 0


def test_complete_writes_receipts(site: Site) -> None:
    """`--once --complete`: a receipt for each source, with its files' bytes, lines and SHA-256."""
    source = site.source()
    (source / "app.log").write_text(LINES)
    (source / "half.log").write_text("no line feed")
    (source / "empty.log").touch()
    once = site.once("--complete")
    assert once.code == 0, once.stderr
    told = receipt(site, source)
    assert (told["finished_by"], told["tombstone"], told["losses"]) == ("complete", None, [])
    assert (told["namespace"], told["job"], told["pod"]) == ("shop", "demo", "demo-x6nnw")
    assert told["objects"] == keys(site.to, "data/")
    files = {file["path"]: file for file in told["files"]}
    assert {name: (file["bytes"], file["lines"]) for name, file in files.items()} == {
        "app.log": (len(LINES), 1000),
        "empty.log": (0, 0),
        "half.log": (12, 1),
    }
    for name, file in files.items():
        assert file["sha256"] == hashlib.sha256((source / name).read_bytes()).hexdigest()
    assert_verified(site)


def test_late_bytes_give_a_further_revision(local_site: Site) -> None:
    """Bytes that come after a receipt are collected, and a second revision tells of all."""
    site = local_site
    source = site.source()
    (source / "app.log").write_text(LINES)
    assert site.once("--complete").code == 0
    append(source / "app.log", OTHERS)
    (source / "late.log").write_text("late\n")
    assert site.once("--complete").code == 0
    assert sorted(receipts(site)) == [f"shop/{source.name}.default.{revision}.json" for revision in (1, 2)]
    assert {file["path"]: file["lines"] for file in receipt(site, source, 2)["files"]} == {
        "app.log": 2500,
        "late.log": 1,
    }
    assert assert_exactly_once(site.volume, site.to) == 2501
    assert_verified(site)


def test_a_file_that_was_rotated_while_nobody_looked_keeps_its_hash(local_site: Site) -> None:
    """A restart in the middle of a file leaves its hash to be made from the volume. When the file was
    rotated meanwhile, the hash is still that of its own bytes, not of the new file under its old name.
    """
    site = local_site
    source = site.source()
    read_in_two_starts(site, source / "app.log")
    (source / "app.log").rename(source / "app.log.1")
    (source / "app.log").write_text(OTHERS)
    assert site.once("--complete").code == 0
    told = {file["generation"]: file["sha256"] for file in receipt(site, source)["files"]}
    assert told == {
        0: hashlib.sha256((LINES + LINES).encode()).hexdigest(),
        1: hashlib.sha256(OTHERS.encode()).hexdigest(),
    }
    assert_verified(site)


def test_a_file_that_is_gone_gets_no_hash_of_another(local_site: Site) -> None:
    """As before, but the rotated file was deleted too: its hash is unknown, and the receipt says so."""
    site = local_site
    source = site.source()
    read_in_two_starts(site, source / "app.log")
    (source / "app.log").unlink()
    (source / "app.log").write_text(OTHERS)
    assert site.once("--complete").code == 0
    told = {file["generation"]: file["sha256"] for file in receipt(site, source)["files"]}
    assert told == {0: None, 1: hashlib.sha256(OTHERS.encode()).hexdigest()}
    proof = joblog("verify", "--to", site.to)
    assert proof.code == 0, proof.stdout


# --- sources that end


def test_a_tombstone_finishes_its_source(local_site: Site, start: Start) -> None:
    """A tombstone ends its source, the unterminated last line included; what it says is in the receipt.
    Late bytes are collected all the same, and the revision that tells of them comes once they stop.
    """
    site = local_site
    source = site.source()
    (source / "app.log").write_text(LINES + "half")
    collector = start(site)
    collector.wait_for("batch_committed")
    (source / "tombstone").write_text("exit code 137\n")
    written_one = collector.wait_for("receipt_written")
    assert (written_one["finished_by"], written_one["lines"]) == ("tombstone", 1001)
    told = receipt(site, source)
    assert (told["tombstone"], told["finished_by"]) == ("exit code 137\n", "tombstone")
    append(source / "app.log", " and its rest\n")
    (source / "late.log").write_text("late\n")
    collector.wait_for("receipt_written", 2)
    assert collector.stop() == 0
    assert receipt(site, source, 2)["tombstone"] == "exit code 137\n"
    assert (
        "".join(
            str(row["message"]) + "\n" * bool(row["eol"]) for row in rows(site.to) if row["path"] == "app.log"
        )
        == (source / "app.log").read_text()
    )
    assert_verified(site)


def test_an_idle_source_is_finished(local_site: Site, start: Start, tmp_path: Path) -> None:
    """A source that nobody wrote to for `complete_after_idle` gets its receipt; so does one that vanished."""
    config = tmp_path / "joblog.yaml"
    config.write_text(
        f"volumes: [{{path: {local_site.volume}, complete_after_idle: 1s, poll_interval: 100ms}}]\n"
        f"to: {local_site.to}\nstate: {local_site.state}\nbatch: {{max_age: 100ms}}\nhttp: off\n"
    )
    site = local_site
    idle, gone = site.source("idle-bcdfg"), site.source("gone-bcdfg")
    (idle / "app.log").write_text(LINES)
    (gone / "app.log").write_text(OTHERS)
    collector = start(ByConfig(config))
    collector.wait_for("batch_committed")
    shutil.rmtree(gone)
    collector.wait_for("receipt_written", 2)
    assert collector.stop() == 0
    assert receipt(site, idle)["finished_by"] == "idle"
    assert receipt(site, gone)["finished_by"] == "idle"
    assert len(rows(site.to)) == 2500
    assert_verified(site)


class ByConfig:
    """A site whose settings stand in a file alone."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def arguments(self, *options: str) -> list[str]:
        return ["run", "--config", str(self.config), "--log-format", "json", *options]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_volume_that_is_not_mounted_is_no_proof_of_deletion(local_site: Site, tmp_path: Path) -> None:
    """The volume's mount point is empty at a start, because nothing is mounted there yet: no source is taken
    for gone, and once it is mounted again, not a line is collected a second time.
    """
    site = replace(local_site, volume=tmp_path / "mounted")
    site.volume.mkdir()
    once = shlex.join([sys.executable, "-m", "collector", *site.arguments("--once", "--complete")])
    script = f"""
        mount -t tmpfs none mounted; mkdir kept mounted/{local_site.source().name}
        seq 1 1000 >mounted/{local_site.source().name}/app.log
        {once}; echo "first: $?"
        mount --move mounted kept
        {once}; echo "not mounted: $?"
        mount --move kept mounted
        {once}; echo "again: $?"
    """
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(apart, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["first: 0", "not mounted: 2", "again: 0"], done.stderr
    assert "is it still mounted?" in done.stderr
    assert len(rows(site.to)) == 1000


# --- more than one


def test_several_volumes_and_shards_in_one_process(tmp_path: Path, start: Start) -> None:
    """Two volumes of three shards each, in one process, side by side under one prefix: each line once, each
    shard with its own records, and a stop drains them all.
    """
    volumes = [tmp_path / name for name in ("east", "west")]
    for each in volumes:
        for number in range(12):
            source = each / f"shop_job-{number:02d}-bcdfg_10.244.0.7_10.0.0.1_node-1"
            source.mkdir(parents=True)
            (source / "app.log").write_text(f"{each.name} {number}\n{LINES}")
    to, config = tmp_path / "export", tmp_path / "joblog.yaml"
    listed = ", ".join(f"{{path: {each}, name: {each.name}}}" for each in volumes)
    config.write_text(
        f"volumes: [{listed}]\nto: {to}\nstate: {tmp_path / 'state'}\nshards: 3\nhttp: off\n"
        "batch: {max_age: 100ms}\n"
    )
    site = ByConfig(config)
    collector = start(site)
    wait_until("all is collected", lambda: len(rows(str(to))) == 24 * 1001)
    assert collector.stop() == 0
    assert len(collector.named("collector_stopped")) == 6
    found = [(row["source"], row["path"], row["message"]) for row in rows(str(to))]
    assert len(found) == 24 * 1001
    shards = {key.rsplit("/", 1)[0] for key in keys(str(to), "_joblog/commits/")}
    assert len(shards) == 6
    before = keys(str(to))
    again = joblog(*site.arguments("--once"))
    assert again.code == 0, again.stderr
    assert keys(str(to)) == before
    proof = joblog("verify", "--to", str(to))
    assert proof.code == 0, proof.stdout

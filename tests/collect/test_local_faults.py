"""Disks that are full, dead, read-only or gone, and what a user sees. Afterwards every line is there once."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from collector_process import Collector, Ended, Site, joblog, wait_until
from exported import assert_exactly_once, keys, objects, rows
from faulty_disk import Disk

Start = Callable[..., Collector]
MakeDisk = Callable[..., Disk]

INCOMPLETE, USAGE, DESTINATION, STATE, KILLED = 1, 2, 3, 4, 137


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Makes small file systems: `disk(name, inodes=…)`. None stays mounted."""
    with ExitStack() as stack:

        def made(name: str, *, inodes: int | None = None) -> Disk:
            one = Disk(tmp_path, name, inodes=inodes)
            stack.callback(one.unmount)
            return one

        yield made


@pytest.fixture
def http() -> str:
    """An address to serve on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def readiness(http: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def append(site: Site, count: int = 100) -> None:
    log = site.source() / "app.log"
    first = log.read_bytes().count(b"\n") if log.exists() else 0
    with log.open("a") as file:
        file.writelines(f"line {number:06d}\n" for number in range(first, first + count))


def goes_on(collector: Collector, site: Site) -> None:
    """What is written now is committed."""
    before = len(collector.named("batch_committed"))
    append(site)
    collector.wait_for("batch_committed", before + 1)


def fails_at_the_next_commits(collector: Collector, site: Site) -> None:
    """Writes until it has ended: a block that it already has may still take a commit or two."""

    def ended() -> bool:
        if collector.is_running:
            append(site, 1)
        return not collector.is_running

    wait_until("the collector ends", ended)


def assert_told(ended: Ended, code: int, *words: str) -> None:
    """The exit code, and one clear line."""
    assert ended.code == code, ended.stderr
    assert len(ended.errors) == 1, ended.stderr
    assert not [word for word in words if word not in ended.errors[0]], ended.errors[0]
    assert "Traceback" not in ended.stderr


def assert_recovers(site: Site) -> None:
    """The next start needs no help, and then every line is there once."""
    ended = site.once()
    assert ended.code == 0, ended.stderr
    assert assert_exactly_once(site.volume, site.to) > 0
    proof = site.verify()
    assert proof.code == 0, proof.stdout


# --- the state folder

STATE_FAULTS: dict[str, tuple[Callable[[Disk], None], str]] = {
    "full": (Disk.fill, "No space left on device: free some space"),
    "dead": (Disk.die, "Input/output error: check the disk"),
    "read-only": (Disk.fail_to_read_only, "Read-only file system: mount it writable"),
}


@pytest.mark.parametrize("fault", STATE_FAULTS)
def test_a_state_disk_that_fails(local_site: Site, disk: MakeDisk, start: Start, fault: str) -> None:
    """ENOSPC, EIO, EROFS on the state folder while it is in use: exit code 4 and one line with folder, reason
    and remedy. What was committed stays so; a start on the mended disk collects the rest, nothing twice.
    """
    make_it, says = STATE_FAULTS[fault]
    one = disk("state-disk")
    site = local_site.with_state(one.folder)
    collector = start(site)
    goes_on(collector, site)
    make_it(one)
    fails_at_the_next_commits(collector, site)
    assert_told(collector.ended(), STATE, str(one.folder), says)
    if fault == "full":
        one.make_room()
    else:
        one.mend()
    assert_recovers(site)


def test_no_inode_left_for_the_state_folder(local_site: Site, disk: MakeDisk) -> None:
    """A start on a full disk: exit code 4 and one line; nothing is collected before there is room."""
    one = disk("state-disk", inodes=32)
    site = local_site.with_state(one.folder)
    append(site)
    one.fill()
    assert_told(site.once(), STATE, str(one.folder), "No space left on device")
    assert rows(site.to) == []
    one.make_room()
    assert_recovers(site)


@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_a_state_folder_that_goes_away_while_it_is_used(local_site: Site, start: Start, what: str) -> None:
    """Deleted, or moved away with a copy in its place: at the next commit exit code 4, and one line that
    says so; nothing is written to files that nobody would find. The next start rebuilds it.
    """
    collector = start(local_site)
    goes_on(collector, local_site)
    if what == "deleted":
        shutil.rmtree(local_site.state)
    else:
        local_site.state.rename(local_site.state.with_name("moved"))
        shutil.copytree(local_site.state.with_name("moved"), local_site.state)
    append(local_site)
    assert_told(collector.ended(), STATE, str(local_site.state), f"was {what} while it was in use")
    assert_recovers(local_site)


def test_a_second_collector_on_a_state_folder_whose_lock_is_gone(local_site: Site, start: Start) -> None:
    """Somebody removes the folder of a running collector, and starts another: the lock holds no more, the
    open record does. The first one stops with exit code 4, and every line is there once.
    """
    first = start(local_site)
    goes_on(first, local_site)
    shutil.rmtree(local_site.state)
    second = start(local_site)
    second.wait_for("collector_started")
    goes_on(second, local_site)
    assert first.wait() == STATE, first.log
    goes_on(second, local_site)
    assert second.stop() == 0
    assert_recovers(local_site)


# --- the destination folder


@pytest.mark.parametrize(
    ("inodes", "break_it", "mend_it", "says"),
    [
        (None, Disk.fill, Disk.make_room, "No space left on device: free some space"),
        (64, Disk.fill, Disk.make_room, "No space left on device: free some space"),
        (None, Disk.die, Disk.mend, "Input/output error: the disk or the network file system fails"),
    ],
    ids=["full", "no inodes", "dead"],
)
def test_a_destination_disk_that_fails_for_a_while(  # noqa: PLR0917 - fixtures and parameters
    local_site: Site, disk: MakeDisk, start: Start, http: str, inodes, break_it, mend_it, says: str
) -> None:
    """ENOSPC by blocks or by inodes, and EIO, on a destination folder: the collector waits and tries again,
    `/readyz` gives the reason, and it goes on by itself; no temporary file is left.
    """
    one = disk("export-disk", inodes=inodes)
    site = replace(local_site, to=str(one.folder))
    collector = start(site, "--http", http)
    goes_on(collector, site)
    break_it(one)
    append(site)
    collector.wait_for("destination_failing")
    wait_until("readyz says why", lambda: readiness(http)[0] == 503 and says in readiness(http)[1])
    mend_it(one)
    collector.wait_for("destination_recovered")
    goes_on(collector, site)
    wait_until("it is ready again", lambda: readiness(http)[0] == 200)
    assert collector.stop() == 0
    assert list((one.folder / "_joblog/tmp").iterdir()) == []
    assert_recovers(site)


@pytest.mark.soak  # it waits for all tries of `--once`
def test_once_with_a_full_destination_disk(local_site: Site, disk: MakeDisk) -> None:
    """`--once` tries for a while, then exit code 3 with folder, reason and remedy; later all is collected."""
    one = disk("export-disk")
    site = replace(local_site, to=str(one.folder))
    append(site, 50)
    assert site.once().code == 0
    append(site, 50_000)
    one.fill()
    assert_told(site.once(), DESTINATION, str(one.folder), "No space left on device: free some space")
    one.make_room()
    assert_recovers(site)


def test_a_sync_that_fails_is_not_believed_later(local_site: Site) -> None:
    """fsync fails now and then, everywhere: each run ends with 0, 3 or 4 and at most one line; what it left
    is written anew by the next, and in the end every line is there once.
    """
    if not shutil.which("fiu-run"):
        pytest.skip("needs fiu-run (Debian package fiu-utils), to make fsync fail")
    fault = "enable_random name=posix/io/sync/fsync,failinfo=5,probability=0.15"
    faulty = ("timeout", "-s", "KILL", "20", "fiu-run", "-x", "-c", fault)
    for _ in range(3):
        append(local_site)
        ended = joblog(*local_site.arguments("--once"), prefix=faulty)
        if ended.code not in (KILLED, -9):  # libfiu can lock up while pyarrow is loaded
            assert ended.code in (0, DESTINATION, STATE), ended.stderr
            assert len(ended.errors) == (ended.code != 0), ended.stderr
    assert_recovers(local_site)


# --- the volume


@pytest.mark.parametrize("complete", [False, True])
def test_a_volume_disk_that_dies(local_site: Site, disk: MakeDisk, complete: bool) -> None:
    """EIO on every read of a log: `--once` ends with exit code 1, and collects all when the disk is mended.
    With `--complete` the file is tried again, then given up: its bytes are a loss in the receipt.
    """
    one = disk("volume-disk")
    site = replace(local_site, volume=one.folder)
    append(site)
    size = (site.source() / "app.log").stat().st_size
    os.sync()
    one.die()
    ended = site.once(*(["--complete"] if complete else []))
    assert ended.code == INCOMPLETE, ended.stderr
    unreadable = ended.named("file_unreadable")
    assert {event["error"] for event in unreadable} == {"Input/output error"}
    assert len(unreadable) == (3 if complete else 1)
    lost = [(event["start"], event["end"], event["reason"]) for event in ended.named("bytes_lost")]
    assert lost == ([(0, size, "unreadable")] if complete else [])
    assert len(objects(site.to, "_joblog/receipts/")) == complete
    assert keys(site.to, "data/") == []
    if not complete:
        one.mend()
        assert_recovers(site)


# --- descriptors


def test_no_descriptor_left(site: Site, start: Start, http: str) -> None:
    """EMFILE on every open, listing and connection, for a while: no source is taken for gone, no file for
    lost, nobody crashes; when descriptors are free again it goes on by itself.
    """
    collector = start(site, "--http", http, "--log-level", "debug")
    goes_on(collector, site)
    limits = resource.prlimit(collector.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    append(site)
    other = site.source("other-bcdfg") / "app.log"
    other.write_text("other\n" * 10)
    collector.wait_for("volume_unreadable")
    assert readiness(http)[0] in (0, 503)
    resource.prlimit(collector.pid, resource.RLIMIT_NOFILE, limits)
    wait_until("it is ready again", lambda: readiness(http)[0] == 200)
    wait_until("all is there", lambda: len(rows(site.to)) == 210)
    assert collector.stop() == 0
    assert not collector.named("bytes_lost")
    assert "Traceback" not in collector.log
    assert_recovers(site)


def test_too_few_descriptors_to_start(local_site: Site) -> None:
    """A limit that leaves none for log files is said at the start, with the remedy."""
    told = joblog(*local_site.arguments("--once"), prefix=("prlimit", "--nofile=100:100"))
    assert_told(told, USAGE, "limits.open_files", "ulimit -n")

"""Crashes at exact places of the commit protocol, and what the next start makes of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
from collector_process import AS_ANYBODY, Collector, Ended, Site, joblog
from exported import assert_exactly_once, keys, rows

Start = Callable[..., Collector]

LINES = "".join(f"line {number:05d}\n" for number in range(1000))
MORE = "".join(f"more {number:05d}\n" for number in range(1000))


@contextmanager
def no_objects(site: Site):
    """While a file is where the folder of the objects should be, records can be put, and objects cannot."""
    data = Path(site.to, "data")
    away = data.with_name("data.away")
    data.parent.mkdir(exist_ok=True)
    if data.exists():
        data.rename(away)
    data.write_text("in the way")
    yield
    data.unlink()
    if away.exists():
        away.rename(data)


def crash_between_record_and_object(site: Site, start: Start) -> str:
    """Kills a collector whose batch record stands and whose object does not; returns the object's key."""
    with no_objects(site):
        before = set(keys(site.to, "_joblog/commits/"))
        collector = start(site)
        failing = collector.wait_for("destination_failing")
        assert "/data" in failing["error"]
        collector.kill()
        last = max(set(keys(site.to, "_joblog/commits/")) - before)
    number = Path(last).stem
    assert f"default-000-{number}" not in "".join(keys(site.to, "data/"))
    return number


def verified(site: Site) -> str:
    """What `verify` says of destination and volume, where it finds nothing wrong."""
    proof = site.verify()
    assert proof.code == 0, proof.stdout
    return proof.stdout


def assert_nothing_new(site: Site) -> None:
    """A further `--once` has nothing to do, and leaves no trace."""
    before = keys(site.to)
    again = site.once()
    assert again.code == 0, again.stderr
    assert keys(site.to) == before


def completed(ended: Ended, number: str) -> bool:
    return [int(event["sequence"]) for event in ended.named("object_completed")] == [int(number)]


@pytest.mark.parametrize("keep_state", [True, False], ids=["state kept", "state lost"])
def test_a_record_without_object_is_completed(local_site: Site, start: Start, keep_state: bool) -> None:
    """A crash between record and object: the next start puts the same rows under the same key, whether it
    finds the state folder or not. `verify` says before that the object is still to come.
    """
    site = local_site
    (site.source() / "app.log").write_text(LINES)
    number = crash_between_record_and_object(site, start)
    before = site.verify()
    assert before.code == 1
    assert "the next run of the collector completes it" in before.stdout
    if not keep_state:
        shutil.rmtree(site.state)
    once = site.once()
    assert once.code == 0
    assert completed(once, number)
    (key,) = keys(site.to, "data/")
    assert key.endswith(f"/default-000-{number}.parquet")
    assert assert_exactly_once(site.volume, site.to) == 1000
    verified(site)
    assert_nothing_new(site)


def test_a_record_without_object_is_completed_while_its_files_grow_and_move(
    local_site: Site, start: Start
) -> None:
    """What was claimed is read again where a rotation moved it, and the bytes that came since go into an
    object of their own.
    """
    site = local_site
    log = site.source() / "app.log"
    log.write_text(LINES)
    assert site.once().code == 0
    with log.open("a") as file:
        file.write(MORE)
    number = crash_between_record_and_object(site, start)
    log.rename(log.with_name("app.log.1"))
    log.write_text("after the rotation\n")
    with log.with_name("app.log.1").open("a") as file:
        file.write("late\n")
    once = site.once()
    assert once.code == 0, once.stderr
    assert completed(once, number)
    assert assert_exactly_once(site.volume, site.to) == 2002
    verified(site)


@pytest.mark.parametrize("keep_state", [True, False], ids=["state kept", "state lost"])
def test_bytes_gone_before_their_object_came_are_declared_void(
    local_site: Site, start: Start, keep_state: bool
) -> None:
    """Where the file was deleted before its object was put, a void record says so: `--once` counts the loss
    and exits with 1, `verify` tells of it, and the next start has nothing more to mend.
    """
    site = local_site
    log = site.source() / "app.log"
    log.write_text(LINES)
    number = crash_between_record_and_object(site, start)
    log.unlink()
    if not keep_state:
        shutil.rmtree(site.state)
    once = site.once()
    assert once.code == 1
    assert [event["sequence"] for event in once.named("record_voided")] == [int(number)]
    (loss,) = once.named("bytes_lost")
    assert (loss["reason"], loss["end"] - loss["start"]) == ("void", len(LINES))
    assert keys(site.to, "data/") == []
    assert f"{len(LINES)} lost bytes" in verified(site)
    (site.source() / "other.log").write_text(MORE)
    assert site.once().code == 0
    assert assert_exactly_once(site.volume, site.to) == 1000
    assert f"{len(LINES)} lost bytes" in verified(site)


def test_what_is_left_of_a_batch_gets_its_object(local_site: Site, start: Start) -> None:
    """Where one of a batch's two files is gone, the object comes with the rows of the other; the loss is
    told in the receipt too.
    """
    site = local_site
    (site.source() / "gone.log").write_text(LINES)
    (site.source() / "stays.log").write_text(MORE)
    number = crash_between_record_and_object(site, start)
    (site.source() / "gone.log").unlink()
    once = site.once("--complete")
    assert once.code == 1
    assert completed(once, number)
    assert [event["path"] for event in once.named("bytes_lost")] == ["gone.log"]
    assert [event["lost_bytes"] for event in once.named("receipt_written")] == [len(LINES)]
    assert {row["path"] for row in rows(site.to)} == {"stays.log"}
    assert assert_exactly_once(site.volume, site.to) == 1000
    assert f"{len(LINES)} lost bytes" in verified(site)
    assert_nothing_new(site)


@pytest.mark.parametrize("rest", ["stays", "goes"])
def test_a_crash_between_void_record_and_object(local_site: Site, start: Start, rest: str) -> None:
    """One of two files is gone, which a void record says; then the next collector dies too, before it put
    what is left. The one after it declares nothing twice: it completes the rest, or voids that as well.
    """
    site = local_site
    (site.source() / "gone.log").write_text(LINES)
    (site.source() / "rest.log").write_text(MORE + MORE)
    number = crash_between_record_and_object(site, start)
    (site.source() / "gone.log").unlink()
    with no_objects(site):
        collector = start(site)
        collector.wait_for("record_voided")
        collector.wait_for("destination_failing")
        collector.kill()
    if rest == "goes":
        (site.source() / "rest.log").unlink()
    once = site.once()
    assert completed(once, number) == (rest == "stays")
    assert once.code == (0 if rest == "stays" else 1)
    assert [event["path"] for event in once.named("bytes_lost")] == ["rest.log"] * (rest == "goes")
    assert assert_exactly_once(site.volume, site.to) == 2000 * (rest == "stays")
    lost = len(LINES) + len(MORE + MORE) * (rest == "goes")
    assert f"{lost} lost bytes" in verified(site)
    assert_nothing_new(site)


def test_what_cannot_be_read_just_now_is_not_void(local_site: Site, start: Start) -> None:
    """A file that the next start may not read is there all the same: nothing is declared lost. It says which
    file it needs, and the start after that completes the object.
    """
    site = local_site
    log = site.source() / "app.log"
    log.write_text(LINES)
    number = crash_between_record_and_object(site, start)
    log.chmod(0)
    refused = joblog(*site.arguments("--once"), prefix=AS_ANYBODY)
    log.chmod(0o644)
    assert refused.code == 2, refused.stderr
    assert len(refused.errors) == 1
    assert "app.log" in refused.errors[0]
    assert completed(site.once(), number)
    assert assert_exactly_once(site.volume, site.to) == 1000
    assert "0 lost bytes" in verified(site)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_what_is_not_mounted_just_now_is_not_void(local_site: Site, start: Start) -> None:
    """A volume that is empty since it is not mounted: nothing is declared lost, and the next start with the
    volume completes the object.
    """
    site = local_site
    (site.source() / "app.log").write_text(LINES)
    number = crash_between_record_and_object(site, start)
    script = f'mount -t tmpfs none {site.volume} && exec "$@"'
    apart = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")
    refused = joblog(*site.arguments("--once"), prefix=apart)
    assert refused.code == 2, refused.stderr
    assert len(refused.errors) == 1
    assert str(site.volume) in refused.errors[0]
    assert completed(site.once(), number)
    assert assert_exactly_once(site.volume, site.to) == 1000
    assert "0 lost bytes" in verified(site)


def test_a_crash_before_the_checkpoint_repeats_nothing(local_site: Site) -> None:
    """A checkpoint that is older than the destination, as after a crash between commit and checkpoint:
    the records that it has not seen are read, and their lines are not collected again.
    """
    site = local_site
    log = site.source() / "app.log"
    log.write_text(LINES)
    assert site.once().code == 0
    older = site.state.with_name("older")
    shutil.copytree(site.state, older)
    with log.open("a") as file:
        file.write(MORE)
    assert site.once().code == 0
    shutil.rmtree(site.state)
    older.rename(site.state)
    assert_nothing_new(site)
    with log.open("a") as file:
        file.write("last\n")
    assert site.once().code == 0
    assert assert_exactly_once(site.volume, site.to) == 2001
    verified(site)


def test_a_killed_collector_finds_its_own_object(hindered, start: Start) -> None:
    """Killed after its object was put and before it knew: the next start sees the object and moves on."""
    site, proxy = hindered.site, hindered.proxy
    (site.source() / "app.log").write_text(LINES)
    put = proxy.trap("PUT", "/data/", "after")
    collector = start(site)
    put.wait()
    collector.kill()
    put.drop()
    assert put.status == 200
    before = keys(hindered.direct.to, "data/")
    once = site.once()
    assert once.code == 0
    assert not once.named("object_completed")
    assert keys(hindered.direct.to, "data/") == before
    assert assert_exactly_once(site.volume, hindered.direct.to) == 1000
    verified(site)


def test_an_object_that_never_left_is_put_by_the_next_start(hindered, start: Start) -> None:
    """Killed while its object is on the way to S3: the next start puts it under the same key. The lost
    one arrives after all, later: it is refused, since the key is taken, and nothing changes.
    """
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    (site.source() / "app.log").write_text(LINES)
    put = proxy.trap("PUT", "/data/")
    collector = start(site)
    put.wait()
    collector.kill()
    put.drop()
    once = site.once()
    assert once.code == 0
    assert len(once.named("object_completed")) == 1
    (key,) = keys(direct.to, "data/")
    assert put.land() == 412
    assert keys(direct.to, "data/") == [key]
    assert assert_exactly_once(site.volume, direct.to) == 1000
    verified(site)


def test_a_record_that_lands_after_its_collector_died_is_completed(hindered, start: Start) -> None:
    """Killed while its batch record is on the way: it lands, and whoever comes next completes it."""
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    (site.source() / "app.log").write_text(LINES)
    put = proxy.trap("PUT", "000000000001.json")
    collector = start(site)
    put.wait()
    collector.kill()
    put.drop()
    assert put.land() == 200
    once = site.once()
    assert once.code == 0
    assert completed(once, "1")
    assert assert_exactly_once(site.volume, direct.to) == 1000
    verified(site)


def test_a_crash_between_receipt_and_checkpoint_gives_no_second_revision(hindered, start: Start) -> None:
    """Killed after its receipt was put and before it noted that: the next start finds the receipt."""
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    (site.source() / "app.log").write_text(LINES)
    put = proxy.trap("PUT", "/receipts/", "after")
    collector = start(site, "--once", "--complete")
    put.wait()
    collector.kill()
    put.drop()
    receipts = keys(direct.to, "_joblog/receipts/")
    assert len(receipts) == 1
    once = site.once("--complete")
    assert once.code == 0
    assert not once.named("receipt_written")
    assert keys(direct.to, "_joblog/receipts/") == receipts
    verified(site)
    before = keys(direct.to)
    assert site.once("--complete").code == 0
    assert keys(direct.to) == before


def test_rebuild_of_a_damaged_checkpoint(local_site: Site) -> None:
    """A checkpoint that cannot be trusted is refused with its place and exit code 4; `checkpoints rebuild`
    makes it again, and the next `--once` writes nothing.
    """
    site = local_site
    (site.source() / "app.log").write_text(LINES)
    assert site.once().code == 0
    checkpoint = site.state / "default" / "000" / "checkpoint.jsonl"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-20] + b"x" * 19 + b"\n")
    refused = site.once()
    assert refused.code == 4
    assert len(refused.errors) == 1
    assert str(checkpoint) in refused.errors[0]
    rebuilt = joblog("checkpoints", "rebuild", "default", "--to", site.to, "--state", str(site.state))
    assert rebuilt.code == 0, rebuilt.stderr
    assert_nothing_new(site)


@pytest.mark.soak
def test_a_rebuild_from_a_snapshot(local_site: Site, start: Start, write) -> None:
    """After some hundred records a snapshot of the checkpoint stands in the destination. Without a state
    folder the next start goes on from there: it reads only the records after it, and repeats nothing.
    """
    site = local_site.having("--batch-max-age", "10ms")
    writer = write(site.volume, lines_per_second=4000)
    collector = start(site)
    collector.wait_for("batch_committed", 520, within=120)
    collector.kill()
    assert len(keys(site.to, "_joblog/snapshots/")) == 1
    writer.stop()
    shutil.rmtree(site.state)
    for key in keys(site.to, "_joblog/commits/")[:500]:
        Path(site.to, key).rename(site.volume.with_name(Path(key).name))
    once = site.once()
    assert once.code == 0, once.stderr
    assert len(once.named("checkpoint_rebuilt")) == 1
    for key in keys(site.to, "_joblog/commits/"):
        assert int(Path(key).stem) >= 500
    for moved in site.volume.parent.glob("0*.json"):
        moved.rename(Path(site.to, "_joblog/commits/default/000", moved.name))
    assert assert_exactly_once(site.volume, site.to)
    verified(site)
    assert_nothing_new(site)

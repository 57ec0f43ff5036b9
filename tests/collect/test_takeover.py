"""Two collectors for one volume name: one works, the other ends with exit code 4, no line is there twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from collector_process import Collector, Site, Writer, wait_until
from exported import assert_exactly_once, objects, rows

Start = Callable[..., Collector]
Write = Callable[..., Writer]

LINES = "".join(f"line {number:05d}\n" for number in range(1000))


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def assert_taken_over(ended: Collector, by: Collector) -> None:
    """It ended with exit code 4 and one line that names its successor."""
    told = ended.ended()
    assert told.code == 4, told.stderr
    assert len(told.errors) == 1, told.stderr
    assert "the shard was taken over by" in told.errors[0]
    assert f"pid {by.pid}" in told.errors[0]
    assert len(told.named("shard_fenced")) == 1


def test_the_second_on_one_state_folder_ends(site: Site, start: Start) -> None:
    """With one state folder the second collector ends with exit code 4 and says who holds the folder; the
    first goes on undisturbed.
    """
    log = site.source() / "app.log"
    log.write_text(LINES)
    first = start(site)
    first.wait_for("batch_committed")
    second = site.once()
    assert second.code == 4
    assert len(second.errors) == 1, second.stderr
    assert f"pid {first.pid}" in second.errors[0]
    assert str(site.state) in second.errors[0]
    append(log, "more\n")
    first.wait_for("batch_committed", 2)
    assert first.stop() == 0
    assert assert_exactly_once(site.volume, site.to) == 1001


def test_the_newer_takes_over(site: Site, start: Start, tmp_path: Path) -> None:
    """With state folders of their own the newer collector takes the shard; the older ends with exit code 4
    at its next batch and says who took over. Nothing is missing, nothing twice.
    """
    log = site.source() / "app.log"
    log.write_text(LINES)
    older = start(site)
    older.wait_for("batch_committed")
    newer = start(site.with_state(tmp_path / "newer"))
    newer.wait_for("collector_started")
    append(log, LINES)
    assert_taken_over(older, newer)
    wait_until("all is collected", lambda: len(rows(site.to)) == 2000)
    assert newer.stop() == 0
    assert rows_once(site) == 2000
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def test_two_that_fight_lose_nothing(site: Site, start: Start, write: Write, tmp_path: Path) -> None:
    """While Jobs write, one collector after the other takes the shard over, with a state folder of its own
    and at any moment of the one before. Each of those ends with exit code 4; each line is there once.
    """
    writer = write(site.volume)
    last = start(site)
    for number in range(2):
        last.wait_for("batch_committed")
        successor = start(site.with_state(tmp_path / f"state-{number}"))
        successor.wait_for("batch_committed")
        assert_taken_over(last, successor)
        last = successor
    writer.stop()
    assert last.stop() == 0
    assert site.with_state(last.site.state).once().code == 0
    assert_exactly_once(site.volume, site.to)
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def test_one_that_was_paused_writes_no_row_when_it_wakes(
    site: Site, start: Start, write: Write, tmp_path: Path
) -> None:
    """An owner that is paused at any moment, and wakes after another took over and collected, ends with
    exit code 4. The records and rows in the destination are then those that the successor left there.
    """
    writer = write(site.volume)
    paused = start(site)
    paused.wait_for("batch_committed", 2)
    paused.send(signal.SIGSTOP)
    successor = start(site.with_state(tmp_path / "successor"))
    successor.wait_for("batch_committed", 2)
    writer.stop()
    assert successor.stop() == 0
    assert site.with_state(tmp_path / "successor").once().code == 0
    before = {**objects(site.to, "data/"), **objects(site.to, "_joblog/commits/")}
    paused.send(signal.SIGCONT)
    assert_taken_over(paused, successor)
    assert {**objects(site.to, "data/"), **objects(site.to, "_joblog/commits/")} == before
    assert_exactly_once(site.volume, site.to)


def test_an_object_that_its_paused_owner_puts_late_is_the_same(
    hindered, start: Start, tmp_path: Path
) -> None:
    """An owner hangs between record and object while another takes over and completes that object. Its own
    put then finds the key taken, which is fine; at its next record it is told, and ends.
    """
    site, direct = hindered.site, hindered.direct
    log = site.source() / "app.log"
    log.write_text(LINES)
    put = hindered.proxy.trap("PUT", "/data/")
    older = start(site)
    put.wait()
    newer = start(direct.with_state(tmp_path / "newer"))
    newer.wait_for("object_completed")
    newer.wait_for("collector_started")
    put.release()
    older.wait_for("batch_committed")
    append(log, LINES)
    assert_taken_over(older, newer)
    wait_until("all is collected", lambda: len(rows(direct.to)) == 2000)
    assert newer.stop() == 0
    assert rows_once(direct) == 2000
    proof = direct.verify()
    assert proof.code == 0, proof.stdout


def test_a_record_that_its_fenced_owner_puts_late_is_refused(hindered, start: Start, tmp_path: Path) -> None:
    """An owner's batch record is held up on the way, and meanwhile another opens the shard at that number:
    the late record is refused, so its owner puts no object.
    """
    site, direct = hindered.site, hindered.direct
    (site.source() / "app.log").write_text(LINES)
    put = hindered.proxy.trap("PUT", "000000000001.json")
    older = start(site)
    put.wait()
    newer = start(direct.with_state(tmp_path / "newer"))
    newer.wait_for("batch_committed")
    before = objects(direct.to)
    put.release()
    assert_taken_over(older, newer)
    assert objects(direct.to) == before
    assert assert_exactly_once(site.volume, direct.to) == 1000
    assert newer.stop() == 0


def test_a_put_whose_answer_is_lost_is_its_own(hindered, start: Start) -> None:
    """The store takes a record, and later an object, but the connection breaks before it answers. The retry
    is refused; the collector looks, finds its own, and goes on.
    """
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    log = site.source() / "app.log"
    log.write_text(LINES)
    lost = [proxy.trap("PUT", part, "after") for part in ("000000000000.json", "000000000001.json", "/data/")]
    collector = start(site)
    for put in lost:
        put.wait()
        assert put.status == 200
        put.drop()
    collector.wait_for("batch_committed")
    append(log, LINES)
    collector.wait_for("batch_committed", 2)
    assert collector.stop() == 0
    assert [json.loads(body)["kind"] for body in commits(direct)] == ["open", "batch", "batch"]
    assert rows_once(direct) == 2000
    assert direct.verify().code == 0


def test_a_put_that_lands_late_is_its_own(hindered, start: Start) -> None:
    """The connection breaks while a record is on its way, and it lands just before the retry, as a put that
    timed out may. The retry is refused; what stands there is the collector's own record.
    """
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    (site.source() / "app.log").write_text(LINES)
    first = proxy.trap("PUT", "000000000001.json")
    collector = start(site)
    first.wait()
    retry = proxy.trap("PUT", "000000000001.json")
    first.drop()
    retry.wait()
    assert first.land() == 200
    retry.release()
    collector.wait_for("batch_committed")
    assert collector.stop() == 0
    assert [json.loads(body)["kind"] for body in commits(direct)] == ["open", "batch"]
    assert assert_exactly_once(site.volume, direct.to) == 1000
    assert direct.verify().code == 0


def test_a_put_that_lands_after_its_retry_changes_nothing(hindered, start: Start) -> None:
    """An object's put is given up and repeated with success; the first attempt lands minutes later, when
    other records follow: it is refused, and all stays as it is.
    """
    site, direct, proxy = hindered.site, hindered.direct, hindered.proxy
    log = site.source() / "app.log"
    log.write_text(LINES)
    record, put = proxy.trap("PUT", "000000000001.json"), proxy.trap("PUT", "/data/")
    collector = start(site)
    for each in (record, put):
        each.wait()
        each.drop()
    collector.wait_for("batch_committed")
    append(log, LINES)
    collector.wait_for("batch_committed", 2)
    before = objects(direct.to)
    assert record.land() == 412
    assert put.land() == 412
    assert objects(direct.to) == before
    assert collector.stop() == 0
    assert rows_once(direct) == 2000


def commits(site: Site) -> list[bytes]:
    return [body for _, body in sorted(objects(site.to, "_joblog/commits/").items())]


def rows_once(site: Site) -> int:
    """How many rows there are, no two from the same place."""
    places = [(row["source"], row["path"], row["offset"]) for row in rows(site.to)]
    assert len(places) == len(set(places))
    return len(places)

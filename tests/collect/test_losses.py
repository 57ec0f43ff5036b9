"""Bytes that vanished unread are counted by reason and source: log, metric, receipt, status say the same."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from collector_process import AS_ANYBODY, Collector, Site, joblog, wait_until
from exported import objects

Start = Callable[..., Collector]

TEXT = b"0123456789abcde\n"


def listening(site: Site) -> tuple[Site, str]:
    """The site with an HTTP address of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return site.having("--http", address), address


def asked(address: str) -> dict:
    (shard,) = json.loads(urllib.request.urlopen(f"http://{address}/api/status", timeout=10).read())
    return shard


def told_in_log(collector: Collector) -> dict[str, int]:
    told: dict[str, int] = {}
    for event in collector.named("bytes_lost"):
        told[event["reason"]] = told.get(event["reason"], 0) + event["end"] - event["start"]
    return told


def measured(address: str) -> dict[str, int]:
    found: dict[str, int] = {}
    text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
    for line in text.splitlines():
        if line.startswith("joblog_lost_bytes_total{") and not line.endswith(" 0.0"):
            found[line.partition('reason="')[2].partition('"')[0]] = int(float(line.rpartition(" ")[2]))
    return found


def receipted(site: Site, source: Path) -> dict[str, int]:
    """What the newest receipt of the source lists."""
    found: dict[str, int] = {}
    bodies = objects(site.to, f"_joblog/receipts/shop/{source.name}.default.")
    for loss in json.loads(bodies[max(bodies)])["losses"]:
        found[loss["reason"]] = found.get(loss["reason"], 0) + loss["end"] - loss["start"]
    return found


def deleted(log: Path) -> dict[str, int]:
    log.unlink()
    return {"deleted": 3 * len(TEXT)}


def truncated(log: Path) -> dict[str, int]:
    os.truncate(log, 0)
    return {"truncated": 3 * len(TEXT)}


def cut_short(log: Path) -> dict[str, int]:
    os.truncate(log, 2 * len(TEXT))
    return {"truncated": 2 * len(TEXT)}


def rotated_away(log: Path) -> dict[str, int]:
    log.rename(log.parents[2] / "elsewhere")
    log.write_bytes(b"")
    return {"deleted": 3 * len(TEXT)}


def with_its_directory(log: Path) -> dict[str, int]:
    log.unlink()
    log.parent.rmdir()
    return {"deleted": 3 * len(TEXT)}


WAYS = (truncated, cut_short, rotated_away, with_its_directory)


@pytest.mark.parametrize("had_some", [True, False], ids=["half collected", "never collected"])
@pytest.mark.parametrize(
    "vanish",
    [deleted, *(pytest.param(each, marks=pytest.mark.soak) for each in WAYS)],
)
def test_four_places_say_the_same(local_site: Site, start: Start, vanish, had_some: bool) -> None:
    """A file that cannot be read grows by three lines, which are backlog, and no loss. Then they vanish: log
    line, metric, status and receipt say how many bytes, why, and of which source; so does the status of the
    next collector, and `jobs`.
    """
    if not had_some and vanish is cut_short:
        pytest.skip("what is cut short and never was read is the same as truncated")
    site, address = listening(local_site)
    source = site.source()
    log = source / "app.log"
    log.write_bytes(TEXT if had_some else b"")
    collector = start(site, prefix=AS_ANYBODY)
    collector.wait_for("collector_started")
    if had_some:
        collector.wait_for("batch_committed")
    log.chmod(0)
    with log.open("ab") as file:
        file.write(3 * TEXT)
    collector.stop()
    collector = start(site, prefix=AS_ANYBODY)
    wait_until("it is backlog", lambda: asked_safely(address).get("unreadable_bytes") == 3 * len(TEXT))
    assert asked(address)["backlog_bytes"] == 3 * len(TEXT)
    assert asked(address)["lost_bytes"] == {}
    lost = vanish(log)
    if vanish is cut_short:
        log.chmod(0o644)
    wait_until("it is told", lambda: asked(address)["lost_bytes"] == lost)
    assert told_in_log(collector) == lost
    assert measured(address) == lost
    assert asked(address)["lost_sources"] == [{"source": source.name, "lost_bytes": lost}]
    status = joblog("status", "--http", address)
    ((reason, count),) = lost.items()
    assert f"lost in default: {source.name}: {reason} {count} bytes" in status.stdout
    if source.is_dir():
        (source / "tombstone").write_text("0")
    wait_until("it is receipted", lambda: receipted_safely(site, source) == lost)
    assert collector.stop() == 0
    proof = joblog("verify", "--to", site.to)
    assert (proof.code, f"{count} lost bytes" in proof.stdout) == (0, True), proof.stdout
    (job,) = json.loads(joblog("jobs", "--to", site.to, "-o", "json").stdout)
    assert job["lost_bytes"] == count
    collector = start(site)
    wait_until("the next one knows it", lambda: asked_safely(address).get("lost_bytes") == lost)
    assert asked(address)["lost_sources"] == [{"source": source.name, "lost_bytes": lost}]
    assert collector.stop() == 0


def asked_safely(address: str) -> dict:
    try:
        return asked(address)
    except OSError:
        return {}


def receipted_safely(site: Site, source: Path) -> dict[str, int] | None:
    try:
        return receipted(site, source)
    except (ValueError, FileNotFoundError):
        return None


def test_given_up_as_unreadable(local_site: Site) -> None:
    """`--once --complete` finishes a source although a file of it cannot be read: what is in it is lost as
    `unreadable`, with exit code 1.
    """
    source = local_site.source()
    (source / "app.log").write_bytes(TEXT)
    (source / "app.log").chmod(0)
    done = joblog(*local_site.arguments("--once", "--complete"), prefix=AS_ANYBODY)
    assert done.code == 1
    assert [(event["reason"], event["end"]) for event in done.named("bytes_lost")] == [("unreadable", 16)]
    assert receipted(local_site, source) == {"unreadable": 16}

"""Metrics: what each event counts, and that both formats are what a scraper takes."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from collector import events
from collector.events import Event
from collector.status import ShardStatus
from collector.web.metrics import Metrics

NOW = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)
EVENTS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]
OPEN = "application/openmetrics-text;version=1.0.0"
STATUS = ShardStatus(
    volume="node-1",
    shard=3,
    path="/mnt/joblogs",
    to="s3://logs/prod",
    state="collecting",
    ready=True,
    reason="",
    watch="poll",
    watch_reason="nfs4 is shared",
    epoch=2,
    sequence=17,
    sources=30,
    sources_unmatched=1,
    sources_finished=12,
    files=41,
    open_files=9,
    backlog_bytes=4096,
    batch_rows=10,
    batch_bytes=1000,
    committed_rows=5,
    committed_bytes=500,
    lost_bytes={},
    last_commit_at=NOW - timedelta(seconds=12),
    last_scan_at=None,
    last_scan_seconds=0.25,
)
COMMIT = events.BatchCommitted(
    volume="v", shard=0, sequence=4, object_key="k", rows=10, bytes=900, object_bytes=90, files=2, seconds=0.3
)
LOST = events.BytesLost(
    volume="v", source="s", path="p", generation=0, start=100, end=350, reason="truncated"
)
RECEIPT = events.ReceiptWritten(
    volume="v", source="s", revision=1, finished_by="tombstone", files=1, bytes=1, lines=1, lost_bytes=0
)
FOUND = events.SourceFound(volume="v", source="s", matched=True)
SKIPPED = events.EntrySkipped(volume="v", source="s", path="p", why="symlink")
SCAN = events.ScanDone(volume="v", shard=0, seconds=0.02, sources=1, files=1)


def samples(metrics: Metrics, *statuses: ShardStatus, now: datetime = NOW) -> dict[str, float]:
    """`name{label="value"}` with labels sorted by name, as OpenMetrics has them."""
    text, _ = metrics.render(OPEN, statuses, now)
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in parse_openmetrics(text.decode())
        for sample in family.samples
    }


def every_event() -> Iterator[Event]:
    """One of each event that there is, with some value of the right type in each field."""
    values = {str: "text", int: 7, float: 0.5, bool: False}
    for kind in EVENTS:
        types = get_type_hints(kind)
        yield kind(
            **{
                field.name: get_args(types[field.name])[0]
                if get_origin(types[field.name])
                else values[types[field.name]]
                for field in fields(kind)
            }
        )


@pytest.mark.parametrize(
    ("event", "counted"),
    [
        (COMMIT, {"joblog_batches_committed_total volume=v": 1, "joblog_rows_committed_total volume=v": 10}),
        (COMMIT, {"joblog_bytes_committed_total volume=v": 900, "joblog_object_bytes_total volume=v": 90}),
        (COMMIT, {"joblog_commit_seconds_sum volume=v": 0.3, "joblog_commit_seconds_count volume=v": 1}),
        (LOST, {"joblog_lost_bytes_total reason=truncated volume=v": 250}),
        (replace(LOST, reason="new"), {"joblog_lost_bytes_total reason=other volume=v": 250}),
        (RECEIPT, {"joblog_receipts_written_total finished_by=tombstone volume=v": 1}),
        (
            replace(RECEIPT, finished_by="a\nb"),
            {"joblog_receipts_written_total finished_by=other volume=v": 1},
        ),
        (FOUND, {"joblog_sources_found_total volume=v": 1}),
        (replace(FOUND, matched=False), {"joblog_sources_unmatched_total volume=v": 1}),
        (SKIPPED, {"joblog_entries_skipped_total volume=v why=symlink": 1}),
        (SCAN, {"joblog_scan_seconds_count volume=v": 1, "joblog_scan_seconds_bucket le=0.05 volume=v": 1}),
        (events.LinesRepaired(volume="v", rows=3), {"joblog_lines_repaired_total volume=v": 3}),
        (
            events.FileReplaced(volume="v", source="s", path="p", generation=1, why="w"),
            {"joblog_files_replaced_total volume=v": 1},
        ),
        (
            events.DestinationFailing(to="t", error="e", attempt=3, next_try_seconds=1),
            {"joblog_destination_errors_total": 1},
        ),
        (events.StoreUnconditional(to="t", weakens="w"), {"joblog_destination_unconditional": 1}),
    ],
)
def test_what_an_event_counts(event: Event, counted: dict[str, float]):
    """Twice the event is twice the count."""
    metrics = Metrics()
    metrics(event)
    once = samples(metrics)
    assert {name: once[name] for name in counted} == counted
    metrics(event)
    gauge = isinstance(event, events.StoreUnconditional)
    assert {name: samples(metrics)[name] for name in counted} == {
        name: value if gauge else 2 * value for name, value in counted.items()
    }


def test_a_matched_source_is_not_unmatched():
    """Only those that the layout does not match are counted as such."""
    metrics = Metrics()
    metrics(FOUND)
    assert "joblog_sources_unmatched_total volume=v" not in samples(metrics)


def test_every_series_of_a_volume_begins_at_zero():
    """From the start of a volume on its counters are there, so that the first loss is an increase."""
    metrics = Metrics()
    assert not [name for name in samples(metrics) if "volume=v" in name]
    metrics(
        events.CollectorStarted(
            volume="v", shard=0, path="/x", layout="subpath", watch="poll", watch_reason="", to="t"
        )
    )
    there = {name: value for name, value in samples(metrics).items() if "volume=v" in name}
    assert set(there.values()) == {0}
    assert {f"joblog_lost_bytes_total reason={reason} volume=v" for reason in ("deleted", "void")} <= set(
        there
    )


def test_gauges_are_what_the_shards_say():
    """One sample for each shard; times as seconds before now; none where there was no such time."""
    one, other = STATUS, replace(STATUS, shard=4, ready=False, last_commit_at=None, last_scan_at=NOW)
    found = samples(Metrics(), one, other)
    assert found["joblog_backlog_bytes shard=3 volume=node-1"] == 4096
    assert found["joblog_open_files shard=3 volume=node-1"] == 9
    assert found["joblog_sequence shard=3 volume=node-1"] == 17
    assert found["joblog_ready shard=3 volume=node-1"] == 1
    assert found["joblog_ready shard=4 volume=node-1"] == 0
    assert found["joblog_seconds_since_last_commit shard=3 volume=node-1"] == 12
    assert "joblog_seconds_since_last_commit shard=4 volume=node-1" not in found
    assert found["joblog_seconds_since_last_scan shard=4 volume=node-1"] == 0


def test_a_clock_that_was_set_back_gives_no_negative_age():
    """Zero, then."""
    found = samples(Metrics(), STATUS, now=NOW - timedelta(hours=1))
    assert found["joblog_seconds_since_last_commit shard=3 volume=node-1"] == 0


def test_both_formats_hold_the_same():
    """Each sample of the one is in the other, by name and value, after every kind of event."""
    metrics = Metrics()
    for event in every_event():
        metrics(event)
    newer, _ = metrics.render(OPEN, [STATUS], NOW)
    older, _ = metrics.render("", [STATUS], NOW)
    as_set = [
        {
            (s.name, tuple(sorted(s.labels.items())), s.value)
            for family in parse(text.decode())
            for s in family.samples
        }
        for parse, text in ((parse_openmetrics, newer), (parse_text, older))
    ]
    assert as_set[0] == as_set[1]
    assert all(name.startswith("joblog_") for name, _, _ in as_set[0])
    assert not any(name.endswith("_created") for name, _, _ in as_set[0])


def test_no_label_grows_with_what_is_on_the_volume():
    """A thousand sources, files and odd words make not one more series."""
    metrics = Metrics()
    for event in every_event():
        metrics(event)
    before = set(samples(metrics, STATUS))
    for number in range(1000):
        metrics(events.SourceFound(volume="text", source=f"s{number}", matched=False))
        metrics(replace(LOST, volume="text", path=f"p{number}", reason=f"r{number}"))
        metrics(replace(RECEIPT, volume="text", source=f"s{number}", finished_by=f"f{number}"))
    assert {name for name in set(samples(metrics, STATUS)) - before if "other" not in name} == set()


def test_every_metric_and_event_is_documented():
    """docs/operations.md has each event and each metric, and none that is gone."""
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    text, _ = Metrics().render("", [STATUS], NOW)
    metrics = set(re.findall(r"^# TYPE (\w+)", text.decode(), re.MULTILINE))
    told_metrics = set(re.findall(r"^\| `(joblog_\w+)", page, re.MULTILINE))
    told_events = set(
        re.findall(r"^\| `(?!joblog_)(\w+)` \| (?:debug|info|warning|error) \|", page, re.MULTILINE)
    )
    assert told_metrics == metrics
    assert told_events == {kind.name for kind in EVENTS}


def test_promtool_has_nothing_to_complain_of():
    """Prometheus' own linter takes the text as it is."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    metrics = Metrics()
    for event in every_event():
        metrics(event)
    text, _ = metrics.render("text/plain; version=0.0.4", [STATUS], NOW)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

"""The log of the collector itself: lines that machines and people can read, and nobody can forge."""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from datetime import datetime

import pytest

from collector import events
from collector.errors import ConfigError
from collector.logs import configure, log_event

FOUND = events.SourceFound(volume="v", source="billing_a", matched=True)
COMMIT = events.BatchCommitted(
    volume="v",
    shard=0,
    sequence=4,
    object_key="data/k",
    rows=10,
    bytes=900,
    object_bytes=90,
    files=2,
    seconds=0.3,
)
FAILED = events.CollectorFailed(volume="v", shard=0, error="no\x1b[2Jsuch\nbucket \u202e=")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; afterwards logging is as it was."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], (root.level, logging.getLogger("joblog").level)
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    logging.getLogger("joblog").setLevel(levels[1])
    logging.captureWarnings(False)


def test_json_is_one_object_an_event(stream: io.StringIO):
    """Name, level, time and each field by its own name."""
    configure("json", "info", stream)
    log_event(COMMIT)
    line = json.loads(stream.getvalue())
    assert re.fullmatch(TIME, line["time"])
    assert datetime.fromisoformat(line.pop("time")).utcoffset().total_seconds() == 0
    assert line == {
        "event": "batch_committed",
        "level": "info",
        "volume": "v",
        "shard": 0,
        "sequence": 4,
        "object_key": "data/k",
        "rows": 10,
        "bytes": 900,
        "object_bytes": 90,
        "files": 2,
        "seconds": 0.3,
    }


def test_text_is_one_line_an_event(stream: io.StringIO):
    """Time, level, name, then key=value; what has spaces is quoted."""
    configure("text", "info", stream)
    log_event(COMMIT)
    log_event(events.CollectorStopped(volume="v", shard=0, reason='asked "nicely"'))
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(
        rf"{TIME} info    batch_committed volume=v shard=0 sequence=4 object_key=data/k .* seconds=0\.3",
        first,
    )
    assert second.endswith(r'collector_stopped volume=v shard=0 reason="asked \"nicely\""')


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_control_characters_are_written_out(stream: io.StringIO, log_format: str):
    """No value ends a line, moves the cursor or turns the text around."""
    configure(log_format, "info", stream)
    log_event(FAILED)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert text[:-1].isprintable()
    if log_format == "json":
        assert json.loads(text)["error"] == FAILED.error


@pytest.mark.parametrize(
    ("level", "names"),
    [
        ("debug", ["source_found", "batch_committed", "collector_failed"]),
        ("info", ["batch_committed", "collector_failed"]),
        ("error", ["collector_failed"]),
    ],
)
def test_levels(stream: io.StringIO, level: str, names: list[str]):
    """What is quieter than the level does not come out."""
    configure("json", level, stream)
    for event in (FOUND, COMMIT, FAILED):
        log_event(event)
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == names


def test_libraries_speak_in_the_same_form_from_warning_on(stream: io.StringIO):
    """What they say at debug may hold credentials, and never comes out; warnings have the logger's name."""
    configure("json", "debug", stream)
    logging.getLogger("botocore.auth").debug("Authorization: secret")
    logging.getLogger("botocore.auth").info("Authorization: secret")
    logging.getLogger("urllib3.connectionpool").warning("pool is %s", "full")
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["logger"]) == (
        "pool is full",
        "warning",
        "urllib3.connectionpool",
    )
    assert re.fullmatch(TIME, found["time"])


def test_warnings_of_python_come_the_same_way(stream: io.StringIO):
    """As a line of the log and not beside it."""
    configure("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(False)
    assert "old thing" in json.loads(stream.getvalue())["event"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_tracebacks_cannot_forge_lines(stream: io.StringIO, log_format: str):
    """In JSON a field; in text behind a bar on each line."""
    configure(log_format, "info", stream)
    try:
        raise RuntimeError("x\n2026-11-22T00:00:00.000000Z info all_is_well")
    except RuntimeError:
        logging.getLogger("joblog.web").exception("a request could not be answered")
    first, *rest = stream.getvalue().splitlines()
    if log_format == "json":
        assert "all_is_well" in json.loads(first)["exception"]
        assert rest == []
    else:
        assert first.endswith("error   a request could not be answered logger=joblog.web")
        assert all(line.startswith("  | ") for line in rest)
        assert any("all_is_well" in line for line in rest)


def test_the_last_configuration_counts(stream: io.StringIO):
    """Configured twice, a line still comes once, and to the new place."""
    old = io.StringIO()
    configure("text", "info", old)
    configure("json", "info", stream)
    log_event(COMMIT)
    assert old.getvalue() == ""
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(("log_format", "level"), [("xml", "info"), ("json", "loud")])
def test_an_unknown_setting_is_refused(stream: io.StringIO, log_format: str, level: str):
    """With what is known."""
    with pytest.raises(ConfigError, match=r"is unknown: use (json or text|debug, info, warning, error)"):
        configure(log_format, level, stream)

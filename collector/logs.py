"""The log of the collector itself: one line an event, as JSON or as text for people.

Times are RFC 3339 in UTC. What libraries log through `logging` comes out the same way, from
"warning" on: what they say below that may hold headers with credentials.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import TextIO

from collector.errors import ConfigError
from collector.events import Event
from collector.terminal import printable

NAME = "joblog"
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_log = logging.getLogger(NAME)


class _Output(logging.StreamHandler[TextIO]):
    """Where the log goes; a class of its own, so that `configure` can be called again."""


class _Lines(logging.Formatter):
    """Makes a line of a record: of an event, which comes as its `values`, or of what a library says."""

    def __init__(self, render: Callable[[Mapping[str, object], str], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        values = getattr(record, "values", None)
        entry |= {"logger": record.name} if values is None else values
        exception = self.formatException(record.exc_info) if record.exc_info else ""
        return self._render(entry, exception)


def configure(log_format: str, level: str, stream: TextIO) -> None:
    """From now on the log goes to `stream`, "json" or "text", from `level` on. Raises ConfigError."""
    if log_format not in _RENDERERS:
        raise ConfigError(f'log format "{printable(log_format)}" is unknown', hint="use json or text")
    if level not in _LEVELS:
        raise ConfigError(f'log level "{printable(level)}" is unknown', hint=f"use {', '.join(_LEVELS)}")
    output = _Output(stream)
    output.setFormatter(_Lines(_RENDERERS[log_format]))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Output)]:
        root.removeHandler(old)
    root.addHandler(output)
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    _log.setLevel(_LEVELS[level])
    logging.captureWarnings(True)


def log_event(event: Event) -> None:
    """An `Emit`: writes the event's name, level and fields."""
    level = _LEVELS[event.level]
    if _log.isEnabledFor(level):
        values = {field.name: getattr(event, field.name) for field in fields(event)}
        _log.log(level, event.name, extra={"values": values})


def _as_json(entry: Mapping[str, object], exception: str) -> str:
    told = {**entry, "exception": exception} if exception else entry
    return json.dumps(told, default=repr)


def _as_text(entry: Mapping[str, object], exception: str) -> str:
    """`TIME LEVEL event key=value …`; a traceback follows, each line behind a bar that nothing can forge."""
    at, level, event, *values = entry.items()
    words = [f"{key}={_word(value)}" for key, value in values]
    first = " ".join([str(at[1]), f"{level[1]:<7}", printable(str(event[1])), *words])
    return "\n".join([first, *(f"  | {printable(line)}" for line in exception.splitlines())])


def _word(value: object) -> str:
    text = printable(str(value))
    plain = text and not any(character in text for character in ' "=')
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_RENDERERS = {"json": _as_json, "text": _as_text}

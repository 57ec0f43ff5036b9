"""The log of the collector itself: one line an event, as JSON or as text for people.

Times are RFC 3339 in UTC. What libraries log through `logging` comes out the same way, from
"warning" on: what they say below that may hold headers with credentials.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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


class _Output(logging.StreamHandler[TextIO]):
    """Where the log goes; a class of its own, so that `configure` can be called again."""


def configure(log_format: str, level: str, stream: TextIO) -> None:
    """From now on the log goes to `stream`, "json" or "text", from `level` on. Raises ConfigError."""
    if log_format not in _RENDERERS:
        raise ConfigError(f'log format "{printable(log_format)}" is unknown', hint="use json or text")
    if level not in _LEVELS:
        raise ConfigError(f'log level "{printable(level)}" is unknown', hint=f"use {', '.join(_LEVELS)}")
    every: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    output = _Output(stream)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*every, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _RENDERERS[log_format]],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Output)]:
        root.removeHandler(old)
    root.addHandler(output)
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger(NAME).setLevel(_LEVELS[level])
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *every,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def log_event(event: Event) -> None:
    """An `Emit`: writes the event's name, level and fields."""
    if not logging.getLogger(NAME).isEnabledFor(_LEVELS[event.level]):
        return
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    structlog.get_logger(NAME).log(_LEVELS[event.level], event.name, **values)


def _as_text(_logger: WrappedLogger, _method: str, entry: EventDict) -> str:
    """`TIME LEVEL event key=value …`; a traceback follows, each line behind a bar that nothing can forge."""
    at, level, event = entry.pop("time"), entry.pop("level"), entry.pop("event")
    traceback = entry.pop("exception", "")
    values = [f"{key}={_word(value)}" for key, value in entry.items()]
    first = " ".join([at, f"{level:<7}", printable(str(event)), *values])
    return "\n".join([first, *(f"  | {printable(line)}" for line in str(traceback).splitlines())])


def _word(value: object) -> str:
    text = printable(str(value))
    plain = text and not any(character in text for character in ' "=')
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_RENDERERS: dict[str, Processor] = {"json": structlog.processors.JSONRenderer(), "text": _as_text}

"""The sections of the configuration: their settings, defaults and bounds. What each means to the user is in
`docs/configuration.md`; how they are read is in `config.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collector.config_parse import ParseConfig
from collector.config_section import Section
from collector.model import Compression, ExportFormat
from collector.units import duration_seconds, size_bytes
from collector.value import value

DEFAULT_STATE = Path("/var/lib/joblog")
DEFAULT_HTTP = "127.0.0.1:8080"
OFF = "off"
LONGEST_REPLACEMENT = 64
"""Bytes: a pattern may match each byte of an arena, and what comes of that has to fit into memory."""

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def _between(parse: Callable[[object], float], low: str, high: str) -> BeforeValidator:
    def check(value: object) -> float:
        number = parse(value)
        if not parse(low) <= number <= parse(high):
            raise ValueError(f"should be from {low} to {high}")
        return number

    return BeforeValidator(check)


_duration = partial(_between, duration_seconds)
_size = partial(_between, size_bytes)


def _count(low: str, high: str) -> BeforeValidator:
    def number(value: object) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", str(value)):
            raise ValueError("should be a whole number")
        return int(str(value))

    return _between(number, low, high)


def _text(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("should not be empty")
    return value


def _replacement(value: str) -> str:
    if len(value.encode(errors="replace")) > LONGEST_REPLACEMENT or not value.isprintable():
        raise ValueError(f"should be printable, and at most {LONGEST_REPLACEMENT} bytes")
    return value


def _folder(value: object) -> object:
    return Path(_text(value)) if isinstance(value, str) else value


def _volume_name(value: str) -> str:
    if not _VOLUME_NAME.fullmatch(value):
        raise ValueError(
            "should be 1 to 63 letters, digits, '.', '_' or '-', and begin with a letter or digit"
        )
    return value


def _file_name(value: str) -> str:
    if _text(value) in (".", "..") or "/" in value or len(value.encode(errors="surrogateescape")) > 255:
        raise ValueError("should be the plain name of a file, without '/'")
    return value


def _address(value: object) -> object:
    """None for `off`; HOST:PORT as it is."""
    if value == OFF or value is None:
        return None
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 65535:
        raise ValueError("should be HOST:PORT, such as 127.0.0.1:8080 or [::]:8080, or off")
    return value


Text = Annotated[str, AfterValidator(_text)]
Folder = Annotated[Path, BeforeValidator(_folder)]


@value
class FreeSpace:
    """How much of a file system is to be free: a share of all of it, or a size; the other is None."""

    percent: float | None = None
    size_bytes: int | None = None

    def wanted_bytes(self, total_bytes: int) -> int:
        if self.size_bytes is not None:
            return self.size_bytes
        return int(total_bytes * (self.percent or 0.0) / 100)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else f"{self.size_bytes} bytes"


def _free_space(value: object) -> object:
    if isinstance(value, FreeSpace):
        return value
    if isinstance(value, str) and value.strip().endswith("%"):
        number = value.strip()[:-1].strip()
        if not re.fullmatch(r"[0-9]{1,2}(?:\.[0-9]{1,6})?", number) or not 0 < float(number) < 100:
            raise ValueError("should be more than 0% and less than 100%")
        return FreeSpace(percent=float(number))
    try:
        wanted = size_bytes(value)
    except ValueError:
        raise ValueError("should be a share such as 10%, or a size such as 20GiB") from None
    if not 1 <= wanted <= 1 << 60:
        raise ValueError("should be from 1 byte to 1048576TiB")
    return FreeSpace(size_bytes=wanted)


class RetentionConfig(Section):
    """When a source that has its receipt is deleted from the volume; None: not for this reason."""

    delete_after_seconds: Annotated[float, _duration("0s", "87600h")] | None = Field(
        default=None, validation_alias="delete_after"
    )
    free_space: Annotated[FreeSpace, BeforeValidator(_free_space)] | None = None

    @model_validator(mode="after")
    def _wants_something(self) -> RetentionConfig:
        if self.delete_after_seconds is None and self.free_space is None:
            raise ValueError("should have delete_after, free_space, or both")
        return self


class MultilineConfig(Section):
    """Records of several lines begin at each line that `start` matches at its beginning."""

    start: Text
    timeout_seconds: Annotated[float, _duration("10ms", "1h")] = Field(
        default=5.0, validation_alias="timeout"
    )


class RedactConfig(Section):
    """What matches `pattern` is replaced."""

    pattern: Text
    replacement: Annotated[str, AfterValidator(_replacement)] = Field(validation_alias="with")


class VolumeConfig(Section):
    path: Folder
    name: Annotated[str, AfterValidator(_volume_name)] = "default"
    layout: Text = "subpath"
    include: tuple[Text, ...] = ("**",)
    exclude: tuple[Text, ...] = ()
    watch: Literal["auto", "inotify", "poll"] = "auto"
    poll_interval_seconds: Annotated[float, _duration("10ms", "1h")] = Field(
        default=1.0, validation_alias="poll_interval"
    )
    max_line_bytes: Annotated[int, _size("1KiB", "8MiB")] = 1 << 20
    partial_after_seconds: Annotated[float, _duration("10ms", "24h")] = Field(
        default=60.0, validation_alias="partial_after"
    )
    tombstone: Annotated[str, AfterValidator(_file_name)] = "tombstone"
    complete_after_idle_seconds: Annotated[float, _duration("1s", "720h")] = Field(
        default=900.0, validation_alias="complete_after_idle"
    )
    multiline: MultilineConfig | None = None
    redact: tuple[RedactConfig, ...] = ()
    retention: RetentionConfig | None = None
    parse: ParseConfig | None = None


class BatchConfig(Section):
    max_bytes: Annotated[int, _size("64KiB", "1GiB")] = 64 << 20
    max_age_seconds: Annotated[float, _duration("10ms", "24h")] = Field(
        default=30.0, validation_alias="max_age"
    )


class LimitsConfig(Section):
    read_bytes_per_second: Annotated[int, _size("1KiB", "1TiB")] | None = None
    memory_bytes: Annotated[int, _size("256MiB", "1TiB")] = Field(
        default=512 << 20, validation_alias="memory"
    )
    open_files: Annotated[int, _count("16", "1048576")] = 4096


class Config(Section):
    """One collector. `http` is None where it is off."""

    volumes: tuple[VolumeConfig, ...] = ()
    to: Text
    format: ExportFormat = "parquet"
    compression: Compression = "zstd"
    batch: BatchConfig = BatchConfig()
    limits: LimitsConfig = LimitsConfig()
    state: Folder = DEFAULT_STATE
    shards: Annotated[int, _count("1", "999")] = 1
    coordinator: Literal["none", "file", "kubernetes"] = "none"
    http: Annotated[str | None, BeforeValidator(_address)] = DEFAULT_HTTP

    @property
    def http_is_default(self) -> bool:
        """Whether nobody asked for this address: a taken one is then no error."""
        return "http" not in self.model_fields_set

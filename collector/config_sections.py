"""The sections of the configuration: their settings, defaults and bounds. What each means to the user is in
`docs/configuration.md`; how they are read is in `config.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, get_args

from collector.config_parse import ParseConfig
from collector.config_section import Reader, Section, inner, listed, one_of, section, setting, text
from collector.model import Compression, ExportFormat
from collector.units import duration_seconds, size_bytes
from collector.value import value

DEFAULT_STATE = Path("/var/lib/joblog")
DEFAULT_HTTP = "127.0.0.1:8080"
OFF = "off"
LONGEST_REPLACEMENT = 64
"""Bytes: a pattern may match each byte of an arena, and what comes of that has to fit into memory."""

Watch = Literal["auto", "inotify", "poll"]
Coordinator = Literal["none", "file", "kubernetes"]

N = TypeVar("N", int, float)

_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


def _between(read: Reader[N], low: str, high: str) -> Reader[N]:
    def check(value: object) -> N:
        number = read(value)
        if not read(low) <= number <= read(high):
            raise ValueError(f"should be from {low} to {high}")
        return number

    return check


def _duration(low: str, high: str) -> Reader[float]:
    return _between(duration_seconds, low, high)


def _size(low: str, high: str) -> Reader[int]:
    return _between(size_bytes, low, high)


def _count(low: str, high: str) -> Reader[int]:
    return _between(_number, low, high)


def _number(value: object) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", str(value)):
        raise ValueError("should be a whole number")
    return int(str(value))


def _filled(value: object) -> str:
    filled = text(value)
    if not filled or "\0" in filled:
        raise ValueError("should not be empty")
    return filled


def _replacement(value: object) -> str:
    replacement = text(value)
    if len(replacement.encode(errors="replace")) > LONGEST_REPLACEMENT or not replacement.isprintable():
        raise ValueError(f"should be printable, and at most {LONGEST_REPLACEMENT} bytes")
    return replacement


def _folder(value: object) -> Path:
    return Path(_filled(value))


def _volume_name(value: object) -> str:
    name = text(value)
    if not _VOLUME_NAME.fullmatch(name):
        raise ValueError(
            "should be 1 to 63 letters, digits, '.', '_' or '-', and begin with a letter or digit"
        )
    return name


def _file_name(value: object) -> str:
    name = _filled(value)
    if name in (".", "..") or "/" in name or len(name.encode(errors="surrogateescape")) > 255:
        raise ValueError("should be the plain name of a file, without '/'")
    return name


def _address(value: object) -> str | None:
    """None for `off`; HOST:PORT as it is."""
    if value == OFF:
        return None
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) > 65535:
        raise ValueError("should be HOST:PORT, such as 127.0.0.1:8080 or [::]:8080, or off")
    return match[0]


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


def _free_space(value: object) -> FreeSpace:
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


@section
class RetentionConfig(Section):
    """When a source that has its receipt is deleted from the volume; None: not for this reason."""

    delete_after_seconds: float | None = setting(_duration("0s", "87600h"), key="delete_after", default=None)
    free_space: FreeSpace | None = setting(_free_space, default=None)

    def faults(self) -> Iterator[str]:
        if self.delete_after_seconds is None and self.free_space is None:
            yield "should have delete_after, free_space, or both"


@section
class MultilineConfig(Section):
    """Records of several lines begin at each line that `start` matches at its beginning."""

    start: str = setting(_filled)
    timeout_seconds: float = setting(_duration("10ms", "1h"), key="timeout", default=5.0)


@section
class RedactConfig(Section):
    """What matches `pattern` is replaced."""

    pattern: str = setting(_filled)
    replacement: str = setting(_replacement, key="with")


@section
class VolumeConfig(Section):
    path: Path = setting(_folder)
    name: str = setting(_volume_name, default="default")
    layout: str = setting(_filled, default="subpath")
    include: tuple[str, ...] = setting(listed(_filled), default=("**",))
    exclude: tuple[str, ...] = setting(listed(_filled), default=())
    watch: Watch = setting(one_of(*get_args(Watch)), default="auto")
    poll_interval_seconds: float = setting(_duration("10ms", "1h"), key="poll_interval", default=1.0)
    max_line_bytes: int = setting(_size("1KiB", "8MiB"), default=1 << 20)
    partial_after_seconds: float = setting(_duration("10ms", "24h"), key="partial_after", default=60.0)
    tombstone: str = setting(_file_name, default="tombstone")
    complete_after_idle_seconds: float = setting(
        _duration("1s", "720h"), key="complete_after_idle", default=900.0
    )
    multiline: MultilineConfig | None = setting(inner(MultilineConfig), default=None)
    redact: tuple[RedactConfig, ...] = setting(listed(inner(RedactConfig)), default=())
    retention: RetentionConfig | None = setting(inner(RetentionConfig), default=None)
    parse: ParseConfig | None = setting(inner(ParseConfig), default=None)


@section
class BatchConfig(Section):
    max_bytes: int = setting(_size("64KiB", "1GiB"), default=64 << 20)
    max_age_seconds: float = setting(_duration("10ms", "24h"), key="max_age", default=30.0)


@section
class LimitsConfig(Section):
    read_bytes_per_second: int | None = setting(_size("1KiB", "1TiB"), default=None)
    memory_bytes: int = setting(_size("256MiB", "1TiB"), key="memory", default=512 << 20)
    open_files: int = setting(_count("16", "1048576"), default=4096)


@section
class Config(Section):
    """One collector. `http` is None where it is off."""

    volumes: tuple[VolumeConfig, ...] = setting(listed(inner(VolumeConfig)), default=())
    to: str = setting(
        _filled, missing="there is no destination: give --to URL, JOBLOG_TO, or `to:` in the file"
    )
    format: ExportFormat = setting(one_of(*get_args(ExportFormat)), default="parquet")
    compression: Compression = setting(one_of(*get_args(Compression)), default="zstd")
    batch: BatchConfig = setting(inner(BatchConfig), default=BatchConfig())
    limits: LimitsConfig = setting(inner(LimitsConfig), default=LimitsConfig())
    state: Path = setting(_folder, default=DEFAULT_STATE)
    shards: int = setting(_count("1", "999"), default=1)
    coordinator: Coordinator = setting(one_of(*get_args(Coordinator)), default="none")
    http: str | None = setting(_address, default=DEFAULT_HTTP)
    http_is_default: bool = setting(lambda _: False, key="http", default=True)
    """Whether nobody asked for this address: a taken one is then no error. False once `http` is given."""

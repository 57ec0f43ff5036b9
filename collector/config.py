"""What the user configured: read once, checked whole, and frozen.

Options win over the environment (`JOBLOG_…`), the environment over the file, the file over the
defaults of its sections. All faults are found together, each with its place. This is the only module
that reads the process's environment.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collector.config_parse import DelimiterConfig, ParseConfig, TimeConfig
from collector.config_place import Fault, Place, Placed, shown
from collector.config_section import Faults, KeyPath, Section, keys, read_section
from collector.config_sections import (
    BatchConfig,
    Config,
    LimitsConfig,
    MultilineConfig,
    RedactConfig,
    RetentionConfig,
    VolumeConfig,
)
from collector.errors import ConfigError, UsageError
from collector.intake.layout import Layout


class NotYet(NamedTuple):
    """A setting of the contract whose feature this version does not have: all its values, or these."""

    section: type[Section]
    key: str
    values: tuple[str, ...] = ()


NOT_YET = (NotYet(Config, "coordinator", ("file", "kubernetes")),)

VOLUME_SECTIONS: Mapping[str, type[Section]] = {"retention": RetentionConfig, "multiline": MultilineConfig}

OPTIONS: Mapping[str, KeyPath] = {
    "volume": ("volumes", 0, "path"),
    "layout": ("volumes", 0, "layout"),
    "name": ("volumes", 0, "name"),
    "to": ("to",),
    "state": ("state",),
    "format": ("format",),
    "compression": ("compression",),
    "batch_max_age": ("batch", "max_age"),
    "batch_max_bytes": ("batch", "max_bytes"),
    "shards": ("shards",),
    "http": ("http",),
}
"""What options and variables set: the key of `overrides` (`--batch-max-age`, `JOBLOG_BATCH_MAX_AGE`)."""

Meanings = Mapping[str, Callable[[Any], object]]
"""What else is asked of a setting's value, by its key without indexes (`volumes.layout`): raises UsageError.

So that what only a room understands (a layout, a pattern, a destination) is a fault with its place.
"""


def environment() -> Mapping[str, str]:
    return os.environ


def load(
    path: Path | None,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    meanings: Meanings | None = None,
) -> Config:
    """The configuration of a collector. Raises one ConfigError that lists all faults.

    `overrides` are options by the names in OPTIONS; None means not given.
    """
    placed = _gather(path, overrides, environ, OPTIONS)
    config = _validated(placed)
    if not placed.values.get("volumes"):
        placed.fault(
            ("volumes",), "there is no volume: give --volume DIR, JOBLOG_VOLUME, or `volumes:` in the file"
        )
    _check_names(placed)
    _check_lines(placed)
    _check_meanings(placed, meanings or {})
    if config is not None:
        _check_parse(placed, config)
    return _faultless(config, placed)


def load_destination(path: Path | None, environ: Mapping[str, str]) -> str:
    """The destination's URL alone, for commands that need no volume. Raises ConfigError."""
    placed = _gather(path, {}, environ, ("to",))
    return _faultless(_validated(placed), placed).to


def _faultless(config: Config | None, placed: Placed) -> Config:
    if placed.faults or config is None:
        faults = [str(fault) for fault in placed.in_order()]
        if len(faults) == 1:
            raise ConfigError(faults[0])
        raise ConfigError("\n  ".join([f"{len(faults)} faults in the configuration", *faults]))
    return config


def _gather(
    path: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str], names: Iterable[str]
) -> Placed:
    """The values of file, environment and the options `names`, the stronger over the weaker."""
    file = path or (Path(environ["JOBLOG_CONFIG"]) if environ.get("JOBLOG_CONFIG") else None)
    placed = _read(file, environ) if file else Placed()
    _apply(placed, dict(_given(names, overrides, environ)))
    _check_keys(placed)
    return placed


def _given(
    names: Iterable[str], overrides: Mapping[str, object], environ: Mapping[str, str]
) -> Iterator[tuple[str, tuple[object, str]]]:
    """For each option that was given: its value and where. An empty variable counts as not set."""
    for name in names:
        variable = f"JOBLOG_{name.upper()}"
        if overrides.get(name) is not None:
            yield name, (overrides[name], f"--{name.replace('_', '-')}")
        elif environ.get(variable):
            yield name, (environ[variable], variable)


def _read(file: Path, environ: Mapping[str, str]) -> Placed:
    from collector.config_yaml import read  # noqa: PLC0415 - slow to import; options need no file

    return read(file, environ)


def _apply(placed: Placed, given: Mapping[str, tuple[object, str]]) -> None:
    if "volume" in given:
        placed.values["volumes"] = [{}]
        placed.places = {key: place for key, place in placed.places.items() if key[0] != "volumes"}
    volumes = placed.values.get("volumes")
    one = isinstance(volumes, list) and len(volumes) == 1
    for name, (value, where) in given.items():
        if name in ("layout", "name") and not one:
            placed.faults.append(Fault(where, (), "speaks of one volume: give --volume DIR with it"))
            continue
        _set(placed.values, OPTIONS[name], value)
        placed.places[OPTIONS[name]] = Place(where, None if name == "to" else str(value))


def _set(values: dict[str, object], key: KeyPath, value: object) -> None:
    """Sets what `key` names, with the sections around it; what has the wrong shape is left to be found."""
    inner: Any = values
    around: tuple[Any, ...] = key[:-1]
    for part in around:
        if not isinstance(inner, dict | list):
            return
        there = inner[part] if isinstance(inner, list) else inner.get(part)
        inner[part] = {} if there is None else there
        inner = inner[part]
    if isinstance(inner, dict):
        inner[key[-1]] = value


def _sections(placed: Placed) -> Iterator[tuple[KeyPath, dict[str, object], type[Section]]]:
    """Each mapping of the configuration with what it should be; mappings of the wrong shape are left out."""
    values = placed.values
    yield (), values, Config
    for key, volume in _volumes(placed):
        yield key, volume, VolumeConfig
        for name, model in VOLUME_SECTIONS.items():
            section = volume.get(name)
            if isinstance(section, dict):
                yield (*key, name), section, model
        redact = volume.get("redact")
        for index, each in enumerate(redact if isinstance(redact, list) else []):
            if isinstance(each, dict):
                yield (*key, "redact", index), each, RedactConfig
        yield from _parse_sections((*key, "parse"), volume.get("parse"))
    sections: tuple[tuple[str, type[Section]], ...] = (("batch", BatchConfig), ("limits", LimitsConfig))
    for name, model in sections:
        section = values.get(name)
        if isinstance(section, dict):
            yield (name,), section, model


def _parse_sections(
    key: KeyPath, parse: object
) -> Iterator[tuple[KeyPath, dict[str, object], type[Section]]]:
    if not isinstance(parse, dict):
        return
    yield key, parse, ParseConfig
    inner: tuple[tuple[str, type[Section]], ...] = (("delimiter", DelimiterConfig), ("time", TimeConfig))
    for name, model in inner:
        section = parse.get(name)
        if isinstance(section, dict):
            yield (*key, name), section, model


def _volumes(placed: Placed) -> Iterator[tuple[KeyPath, dict[str, object]]]:
    volumes = placed.values.get("volumes")
    for index, volume in enumerate(volumes if isinstance(volumes, list) else []):
        if isinstance(volume, dict):
            yield ("volumes", index), volume


def _check_keys(placed: Placed) -> None:
    """Finds unknown and not yet supported keys and takes them out; empty ones too: they mean the default."""
    for around, values, model in _sections(placed):
        for name, value in list(values.items()):
            fault = _key_fault(model, name, value)
            if fault:
                placed.fault((*around, name), fault)
            if fault or value is None:
                del values[name]


def _key_fault(model: type[Section], name: str, value: object) -> str:
    for row in NOT_YET:
        wanted = value in row.values if row.values else value is not None
        if row.section is model and row.key == name and wanted:
            what = f"{shown(str(value))} is" if row.values else "is"
            return f"{what} not supported by this version: leave it out"
    known = setting_names(model)
    if name in known:
        return ""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(sorted(known))}"
    return f"unknown key: {meant}"


def setting_names(model: type[Section]) -> frozenset[str]:
    """The keys of one section as the file has them, those of later versions included."""
    return keys(model) | {row.key for row in NOT_YET if row.section is model}


def _validated(placed: Placed) -> Config | None:
    try:
        return read_section(Config, placed.values)
    except Faults as error:
        for key, what in error.found:
            _note(placed, key, what)
        return None


def _note(placed: Placed, key: KeyPath, what: str) -> None:
    if any(fault.key == key for fault in placed.faults):
        return
    place = placed.places.get(key)
    if place is not None and place.text:
        what = f"{what}, not {shown(place.text)}"
    placed.fault(key, what)


def _check_names(placed: Placed) -> None:
    """Names tell volumes apart in the export: each its own, and none left to the default among several."""
    volumes = list(_volumes(placed))
    seen: set[str] = set()
    for key, volume in volumes:
        name = volume.get("name")
        if name is None and len(volumes) > 1:
            placed.fault((*key, "name"), "is required where there are several volumes")
        elif isinstance(name, str) and name in seen:
            placed.fault((*key, "name"), f"another volume has the name {shown(name)}")
        elif isinstance(name, str):  # else the check of types will tell
            seen.add(name)


def _check_parse(placed: Placed, config: Config) -> None:
    """What `parse` adds must be new to the export, and there must be columns at all."""
    for index, volume in enumerate(config.volumes):
        key: KeyPath = ("volumes", index, "parse")
        if volume.parse is None or any(fault.key[:2] == key[:2] for fault in placed.faults):
            continue
        if config.format == "raw":
            placed.fault(key, "needs columns, and format: raw has none: choose parquet or ndjson")
            continue
        taken = {name.lower() for name in Layout.parse(volume.layout).field_names}
        for name, _ in volume.parse.settings().columns:
            if name.lower() in taken:
                placed.fault(key, f"{name} is a field of the layout too: give it another name")


def _check_lines(placed: Placed) -> None:
    """Settings of lines that cannot go together."""
    for key, volume in _volumes(placed):
        for name in ("multiline", "redact"):
            if volume.get(name) and placed.values.get("format") == "raw":
                placed.fault((*key, name), "is not possible with format: raw, which keeps files as they are")
        if volume.get("multiline") and volume.get("layout") == "kubelet":
            what = "is not possible with layout: kubelet, whose lines are decoded and joined by their tags"
            placed.fault((*key, "multiline"), what)


def _check_meanings(placed: Placed, meanings: Meanings) -> None:
    """Asks for each value that has the right shape whether it means something."""
    for around, values, _ in list(_sections(placed)):
        for name, value in values.items():
            key = (*around, name)
            read_value = meanings.get(".".join(part for part in key if isinstance(part, str)))
            if read_value is None or any(fault.key[: len(key)] == key for fault in placed.faults):
                continue
            try:
                read_value(value)
            except UsageError as error:
                placed.fault(key, str(error))

"""Layouts: what the names of directories below a volume say about the files in them.

A layout is read once, into levels of text and fields. The library `parse` makes one expression of
each level, from the values that its fields may take (`names.KINDS`). The levels down to the one that
names the Pod are the source; deeper ones add fields to single files. `docs/layouts.md` is for users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from sys import intern

import parse

from collector.intake.names import KINDS, ValueKind, encode_name, job_of, own_kind, schedule_of
from collector.intake.spelling import METADATA, Place, Token, fields, read
from collector.model import LineFormat, Origin
from collector.value import value

Values = dict[str, str | None]
_Convert = Callable[[str], str | None]

_NAMES_POD = ("pod", "uid", "job")  # the first of these that a layout has tells where its sources end
_OF_SOURCE = {"namespace", "job", "index"}  # receipts are for sources, and bear these names
_OF_MANY = {"namespace", "container", "node", "node_ip"}  # those of thousands of sources are kept once
_FILE_ENDINGS = (".log", ".txt", ".json", ".jsonl", ".ndjson", ".out", ".err")
_LONGEST_NAME = 255  # bytes: NAME_MAX of Linux file systems
_MOST_OPEN_ENDS = 2  # each one more multiplies by 255 what a hostile name costs


@value
class _Level:
    """One level. `is_file` levels match names of files, rotated ones too; others of directories.

    `convert` has a function for each field, which gives what is exported or raises ValueError.
    """

    is_file: bool
    parser: parse.Parser
    convert: tuple[tuple[str, _Convert], ...]

    def values(self, name: str) -> Values | None:
        """The fields of a raw name, None where it does not match."""
        if len(name) > _LONGEST_NAME:
            return None
        # The match itself, because `parse` takes three times as long for its own kind of result.
        found = self.parser.parse(name, evaluate_result=False)
        if not isinstance(found, parse.Match):
            return None
        values: Values = {
            field: intern(value) if value and field in _OF_MANY else value
            for field, value in found.match.groupdict().items()
        }
        try:
            for field_of, convert in self.convert:
                values[field_of] = convert(values[field_of] or "")
        except ValueError:  # what looked like an address is none
            return None
        return values


@dataclass(frozen=True)
class Layout:
    """A layout that was understood. Pure: names in, metadata out.

    `source_depth` counts the directory levels of a source, at least 1. `field_names` are the columns
    that this layout adds to those of every export, in layout order. `line_format` is "cri" for the
    built-in `kubelet` alone.
    """

    text: str
    source_depth: int
    field_names: tuple[str, ...]
    line_format: LineFormat
    _levels: tuple[_Level, ...] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Layout:
        """The layout that `text` spells out, or the built-in one that it names. Raises LayoutError."""
        whole = Place(text)
        levels = read(whole)
        depth = _source_depth(whole, levels)
        names = [token.name for level in levels for token in fields(level)]
        return cls(
            text=text,
            source_depth=depth,
            field_names=tuple(name for name in names if name not in METADATA),
            line_format="cri" if text == "kubelet" else "plain",
            _levels=tuple(
                _compile(whole.at(number), level, is_file=level is levels[-1] and _is_file(level))
                for number, level in enumerate(levels)
            ),
        )

    def level_matches(self, depth: int, name: str) -> bool:
        """Whether a raw directory name can stand at level `depth`, counted from 0 below the volume."""
        if depth >= len(self._levels) or self._levels[depth].is_file:
            return False
        return self._levels[depth].values(name) is not None

    def origin(self, parts: tuple[str, ...]) -> Origin:
        """Whose directory it is. `parts` are raw names below the volume; its root is ()."""
        source = encode_name("/".join(parts)) or "."
        if len(parts) != self.source_depth:
            return Origin(source)
        values: Values = {}
        for level, name in zip(self._levels, parts, strict=False):  # deeper levels are not the source's
            found = level.values(name)
            if found is None:
                return Origin(source)
            values |= found
        return _origin(source, values)

    def file_origin(self, origin: Origin, parts: tuple[str, ...]) -> Origin:
        """`origin`, and what the levels below the source say of the file at `parts` below it."""
        if len(self._levels) == self.source_depth or not origin.matched:
            return origin
        return self._add_below(origin, parts, last_is_file=True)

    def path_origin(self, parts: tuple[str, ...]) -> Origin:
        """The origin of what may stand at `parts` below the volume: a source, or something in one.

        Below a source, the last name is a file's where the layout has a level for files, else a
        directory's.
        """
        origin = self.origin(parts[: self.source_depth])
        below = parts[self.source_depth :]
        return self._add_below(origin, below, last_is_file=False) if origin.matched else origin

    def _add_below(self, origin: Origin, parts: tuple[str, ...], *, last_is_file: bool) -> Origin:
        values: Values = {}
        last = len(parts) - 1
        for number, (level, name) in enumerate(zip(self._levels[self.source_depth :], parts, strict=False)):
            fits = number == last if level.is_file else number < last or not last_is_file
            found = level.values(name) if fits else None
            if found is None:
                break
            values |= found
        return _with_values(origin, values) if values else origin


def describe(layout: Layout, names: Sequence[str]) -> list[Origin]:
    """What the layout makes of each raw name: a path below the volume, of a directory or a file."""
    paths = (tuple(part for part in name.split("/") if part not in {"", "."}) for name in names)
    return [layout.path_origin(path) for path in paths]


def _origin(source: str, values: Values) -> Origin:
    pod = values.get("pod")
    job = values.get("job")
    cronjob = scheduled_at = None
    if job is not None:
        cronjob, scheduled_at = schedule_of(job)
    elif pod is not None:
        job, cronjob, scheduled_at = job_of(pod)
        job = job.removesuffix(f"-{values['index']}") if values.get("index") else job
    return Origin(
        source=source,
        matched=True,
        namespace=values.get("namespace"),
        job=job,
        pod=pod,
        container=values.get("container"),
        pod_ip=values.get("pod_ip"),
        node_ip=values.get("node_ip"),
        node=values.get("node"),
        cronjob=cronjob,
        scheduled_at=scheduled_at,
        fields=_further(values),
    )


def _with_values(origin: Origin, values: Values) -> Origin:
    return replace(
        origin,
        container=values.get("container", origin.container),
        pod_ip=values.get("pod_ip", origin.pod_ip),
        node_ip=values.get("node_ip", origin.node_ip),
        node=values.get("node", origin.node),
        fields=origin.fields + _further(values),
    )


def _further(values: Values) -> tuple[tuple[str, str | None], ...]:
    return tuple((name, value) for name, value in values.items() if name not in METADATA)


def _source_depth(whole: Place, levels: list[list[Token]]) -> int:
    """How many levels, from the first, are the source's."""
    names = [{token.name for token in fields(level)} for level in levels]
    naming = (
        number for wanted in _NAMES_POD for number, level in enumerate(names, start=1) if wanted in level
    )
    depth = next(naming, len(levels) - _is_file(levels[-1]))
    if depth == 0 or (depth == len(levels) and _is_file(levels[-1])):
        raise whole.at(len(levels) - 1).error(
            "it is a file's name, but a source is a directory", 'give each Pod a directory: "{pod}/app.log"'
        )
    for number, level in enumerate(names[depth:], start=depth):
        for name in sorted(level & _OF_SOURCE):
            hint = f"name the {name} at or above the level that names the Pod"
            raise whole.at(number).error(f"{name} stands below the source", hint)
    return depth


def _is_file(level: list[Token]) -> bool:
    return isinstance(level[-1], str) and level[-1].endswith(_FILE_ENDINGS)


def _compile(place: Place, level: list[Token], *, is_file: bool) -> _Level:
    pattern = ""
    open_ends = 0
    kinds: dict[str, ValueKind] = {}
    for token, after in zip_longest(level, level[1:], fillvalue=""):
        if isinstance(token, str):
            pattern += token
            continue
        following = after if isinstance(after, str) else ""
        kind = KINDS.get(token.name) or own_kind(following)
        open_ends += bool(following) and kind.alphabet.issuperset(following)
        kinds[token.name] = kind
        pattern += f"{{{token.name}:{_type_name(token.name)}}}"
    if open_ends > _MOST_OPEN_ENDS:
        raise place.error(
            "too many fields may themselves contain the text that follows them",
            'put "_" between the fields, which no name in Kubernetes contains',
        )
    types = {_type_name(name): _type(kind.pattern) for name, kind in kinds.items()}
    if is_file:
        types["rotated"] = _type(r"(?:\..*)?")
        pattern += "{:rotated}"
    parser = parse.compile(pattern, types, case_sensitive=True)
    return _Level(is_file, parser, tuple((name, kind.convert) for name, kind in kinds.items()))


def _type_name(field_of: str) -> str:
    return f"value-of-{field_of}"  # `parse` reads a type named "d" or "n" as a number, whoever defines it


def _type(pattern: str) -> Callable[[str], str]:
    """A type as `parse` takes it. Its values are converted in `_Level.values`."""

    def unchanged(text: str) -> str:
        return text

    typed: Callable[[str], str] = parse.with_pattern(pattern)(unchanged)
    return typed

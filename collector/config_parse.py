"""The section `parse` of a volume: how lines become columns. What it means is in `docs/configuration.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import get_args

from collector.config_section import Section, inner, listed, mapped, one_of, section, setting, text, truth
from collector.model import DelimiterSettings, FieldType, ParseSettings, TimeSettings

TIME_FORMATS = ("iso8601", "epoch", "epoch_ms", "epoch_us", "epoch_ns")
TIME = "time"

RESERVED = frozenset(
    {
        *("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node", "cronjob", "scheduled_at"),
        *("source", "path", "generation", "offset", "observed_at", "time", "stream", "message", "raw", "eol"),
        *("date", "hour"),
    }
)
"""The columns of the export, and those that its folders make."""

LONGEST_NAME = 128

_DIRECTIVES = frozenset("aAbBdHIjmMpSyYzf%")


def _regex(value: object) -> str:
    regex = text(value)
    try:
        pattern = re.compile(regex)
    except (re.error, RecursionError, OverflowError) as error:
        more = ", write (?P<name>…)" if "?<" in str(error) else ""
        raise ValueError(f"is no regular expression of Python: {error}{more}") from None
    if not pattern.groupindex:
        raise ValueError("has no named group: (?P<name>…) becomes the column `name`")
    return regex


def _character(value: object) -> str:
    character = text(value)
    if len(character) != 1 or character in "\n\r\0":
        raise ValueError('should be one character; a tab is "\\t", in double quotes')
    return character


def _name(value: object) -> str:
    name = text(value)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"should be a name of 1 to {LONGEST_NAME} characters")
    return name


def _time_format(value: object) -> str:
    wanted = text(value)
    if wanted in TIME_FORMATS:
        return wanted
    directives = re.findall(r"%(.)", wanted)
    if not directives:
        raise ValueError(f"should be a format of strptime, or one of {', '.join(TIME_FORMATS)}")
    for directive in directives:
        if directive not in _DIRECTIVES:
            raise ValueError(f"has %{directive}, which is not known")
    if not {"Y", "y"} & set(directives):
        raise ValueError("has no year (%Y or %y), so it tells no time")
    return wanted


_field_type = one_of(*get_args(FieldType))


@section
class DelimiterConfig(Section):
    separator: str = setting(_character)
    fields: tuple[str, ...] = setting(listed(_name))
    quote: str | None = setting(_character, default=None)

    def faults(self) -> Iterator[str]:
        if not self.fields:
            yield "fields should name at least one"
        elif self.quote == self.separator:
            yield "quote should not be the separator"


@section
class TimeConfig(Section):
    field: str = setting(_name)
    format: str = setting(_time_format)


@section
class ParseConfig(Section):
    regex: str | None = setting(_regex, default=None)
    json_: bool = setting(truth, key="json", default=False)
    delimiter: DelimiterConfig | None = setting(inner(DelimiterConfig), default=None)
    types: Mapping[str, FieldType] = setting(mapped(_name, _field_type), default_factory=dict)
    time: TimeConfig | None = setting(inner(TimeConfig), default=None)
    keep_message: bool = setting(truth, default=True)

    def settings(self) -> ParseSettings:
        """What the rows depend on, with all columns named."""
        delimiter, time = self.delimiter, self.time
        return ParseSettings(
            columns=tuple((name, self.types.get(name, "string")) for name in self._columns()),
            regex=self.regex,
            json=self.json_,
            delimiter=(
                DelimiterSettings(delimiter.separator, delimiter.fields, delimiter.quote)
                if delimiter
                else None
            ),
            time=TimeSettings(time.field, time.format) if time else None,
            keep_message=self.keep_message,
        )

    def faults(self) -> Iterator[str]:
        if [self.regex is not None, self.json_, self.delimiter is not None].count(True) != 1:
            yield "should have just one of regex, json: true, and delimiter"
            return
        if self.json_ and not self.types and not self.time:
            yield "json needs types: the members that become columns, each with its type (string, int64, …)"
        yield from self._time_faults()
        known = set(self._fields())
        for name in self.types:
            if name not in known:
                yield f"types: {name} is no field: known are {', '.join(self._fields())}"
        yield from _name_faults(self._columns())

    def _time_faults(self) -> Iterator[str]:
        time = self.time
        if time is None:
            return
        if time.field == TIME and TIME in self.types:
            yield "types: time is the export's column, of type timestamp: leave it out"
        if not self.json_ and time.field not in self._fields():
            yield f"time: {time.field} is no field: known are {', '.join(self._fields())}"
        allowed = (
            ["string", "int64", "float64"] if time.format.startswith("epoch") else ["string", "timestamp"]
        )
        kind = self.types.get(time.field, allowed[0])
        if self.json_ and kind not in allowed:
            yield f"time: {time.format} cannot be read from {time.field}, which types says is {kind}"

    def _fields(self) -> list[str]:
        """All fields that lines have, in their order."""
        if self.regex is not None:
            groups = re.compile(self.regex).groupindex
            return sorted(groups, key=groups.__getitem__)
        return list(self.delimiter.fields if self.delimiter else self.types)

    def _columns(self) -> list[str]:
        """The field that is called `time` and fills the column of that name is no further column."""
        fills_itself = self.time is not None and self.time.field == TIME
        return [name for name in self._fields() if not (fills_itself and name == TIME)]


def _name_faults(names: Iterable[str]) -> Iterator[str]:
    """Many query engines do not tell upper and lower case apart."""
    seen: set[str] = set()
    for name in names:
        lower = name.lower()
        if lower in RESERVED:
            how = ": give it another name" + (", or name it as time.field" if lower == TIME else "")
            yield f"{name} is a column of the export{how}"
        elif lower in seen:
            yield f"{name} is there twice"
        seen.add(lower)

"""The section `parse` of a volume: how lines become columns. What it means is in `docs/configuration.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from collector.config_section import Section
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


def _regex(value: str) -> str:
    try:
        pattern = re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        more = ", write (?P<name>…)" if "?<" in str(error) else ""
        raise ValueError(f"is no regular expression of Python: {error}{more}") from None
    if not pattern.groupindex:
        raise ValueError("has no named group: (?P<name>…) becomes the column `name`")
    return value


def _character(value: str) -> str:
    if len(value) != 1 or value in "\n\r\0":
        raise ValueError('should be one character; a tab is "\\t", in double quotes')
    return value


def _name(value: str) -> str:
    if not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"should be a name of 1 to {LONGEST_NAME} characters")
    return value


def _time_format(value: str) -> str:
    if value in TIME_FORMATS:
        return value
    directives = re.findall(r"%(.)", value)
    if not directives:
        raise ValueError(f"should be a format of strptime, or one of {', '.join(TIME_FORMATS)}")
    for directive in directives:
        if directive not in _DIRECTIVES:
            raise ValueError(f"has %{directive}, which is not known")
    if not {"Y", "y"} & set(directives):
        raise ValueError("has no year (%Y or %y), so it tells no time")
    return value


def _all(value: object) -> object:
    """A list in the file is a tuple here; anything else is a fault that is told in its place."""
    return tuple(value) if isinstance(value, list) else value


Name = Annotated[str, AfterValidator(_name)]
Character = Annotated[str, AfterValidator(_character)]


class DelimiterConfig(Section):
    separator: Character
    fields: Annotated[tuple[Name, ...], BeforeValidator(_all)]
    quote: Character | None = None

    @model_validator(mode="after")
    def _fields_are_told_apart(self) -> DelimiterConfig:
        if not self.fields:
            raise ValueError("fields should name at least one")
        if self.quote == self.separator:
            raise ValueError("quote should not be the separator")
        return self


class TimeConfig(Section):
    field: Name
    format: Annotated[str, AfterValidator(_time_format)]


class ParseConfig(Section):
    regex: Annotated[str, AfterValidator(_regex)] | None = None
    json_: bool = Field(default=False, validation_alias="json")
    delimiter: DelimiterConfig | None = None
    types: dict[Name, FieldType] = Field(default_factory=dict)
    time: TimeConfig | None = None
    keep_message: bool = True

    @model_validator(mode="after")
    def _makes_columns(self) -> ParseConfig:
        for fault in self._faults():
            raise ValueError(fault)
        return self

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

    def _faults(self) -> Iterator[str]:
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

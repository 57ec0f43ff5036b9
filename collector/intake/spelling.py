"""How a layout is written: `{namespace}_{pod}` or `$(POD_NAMESPACE)_$(POD_NAME)`, as text and fields."""

from __future__ import annotations

import re
from difflib import get_close_matches

from collector.errors import LayoutError
from collector.value import value

BUILT_IN = {
    "subpath": "{namespace}_{pod}_{pod_ip}_{node_ip}_{node}",
    "kubelet": "{namespace}_{pod}_{uid}/{container}/{restart}.log",
}

ALIASES = {
    "namespace": ("namespace", "namespace_name", "pod_namespace", "ns"),
    "pod": ("pod", "pod_name"),
    "container": ("container", "container_name"),
    "pod_ip": ("pod_ip", "container_ip"),
    "node_ip": ("node_ip", "host_ip"),
    "node": ("node", "node_name", "host_name"),
    "uid": ("uid", "pod_uid", "pod_id"),
    "job": ("job", "job_name"),
    "index": ("index", "job_index", "completion_index", "job_completion_index"),
    "restart": ("restart", "restarts", "restart_count"),
}
"""What each field may be called, in lower snake case."""

METADATA = ("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node")
"""Fields that have a column in every export. All others are further columns."""

EXPORT_COLUMNS = {
    *("source", "path", "generation", "offset", "observed_at", "time", "stream", "message", "raw", "eol"),
    *("cronjob", "scheduled_at", "date", "hour"),
}
"""Columns and partitions that no field may be named after."""

_MEANS = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_OWNER = re.compile(r"(?:my|k8s|kubernetes)_")
_WRITTEN_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")  # of an environment variable in Kubernetes
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
_BRACES = re.compile(r"\{(?P<name>[^{}]*)\}|(?P<stray>[{}])")
_REFERENCES = re.compile(r"\$\((?P<name>[^()]*)\)|\$(?P<escaped>\$)|(?P<stray>\$\()")


@value
class Place:
    """Where in which layout something is wrong."""

    layout: str
    level: str = ""

    def at(self, number: int) -> Place:
        return Place(self.layout, f"level {number + 1}: ")

    def error(self, what: str, hint: str) -> LayoutError:
        return LayoutError(f'layout "{self.layout}": {self.level}{what}', hint=hint)


@value
class Field:
    name: str
    written: str


Token = str | Field


def read(whole: Place) -> list[list[Token]]:
    """The text and fields of each level. Raises LayoutError for what cannot be understood."""
    text = whole.layout
    if not text.isprintable():
        raise LayoutError(f"layout {text!a}: it holds a character that cannot be printed", hint="remove it")
    pattern = _spelling(whole)
    levels = [
        _tokens(whole.at(number), pattern, level)
        for number, level in enumerate(BUILT_IN.get(text, text).split("/"))
    ]
    _check_fields(whole, levels)
    return levels


def _spelling(whole: Place) -> re.Pattern[str]:
    text = whole.layout
    braces, references = "{" in text or "}" in text, "$(" in text
    if "${" in text:
        raise whole.error("${NAME} is not a field", "write $(NAME) or {name}")
    if braces and references:
        raise whole.error("it mixes {name} and $(NAME)", "write all fields in one of the two ways")
    if not (braces or references or text in BUILT_IN):
        raise _no_field(whole)
    return _REFERENCES if references else _BRACES


def _no_field(whole: Place) -> LayoutError:
    near = get_close_matches(whole.layout, BUILT_IN, n=1)
    known = (
        f"did you mean {near[0]}?" if near else "write {namespace}_{pod}, or one of: " + ", ".join(BUILT_IN)
    )
    return whole.error("it has no field and is not built in", known)


def _tokens(place: Place, pattern: re.Pattern[str], level: str) -> list[Token]:
    if level in {"", ".", ".."}:
        what = f'"{level}" cannot be a level' if level else "it is empty"
        raise place.error(what, 'a layout is relative to the volume, with a single "/" between two levels')
    tokens: list[Token] = []
    literal, end = "", 0
    for found in pattern.finditer(level):
        literal += level[end : found.start()]
        end = found.end()
        if found["stray"]:
            raise place.error(f'"{level[found.start() :]}" has no partner', "write {name} or $(NAME)")
        if found["name"] is None:
            literal += "$"
            continue
        if tokens and not literal:
            raise place.error(
                f'nothing stands before "{found[0]}" to part it from the field before it',
                'put text between two fields, best "_", which no name in Kubernetes contains',
            )
        tokens += [literal, _field(place, found)] if literal else [_field(place, found)]
        literal = ""
    literal += level[end:]
    return [*tokens, literal] if literal else tokens


def _field(place: Place, found: re.Match[str]) -> Field:
    written = found["name"]
    name = field_name(written) if _WRITTEN_NAME.fullmatch(written) else ""
    if not _COLUMN.fullmatch(name):
        raise place.error(
            f'"{found[0]}" is not a field', "a field's name is letters, digits and _, with nothing after it"
        )
    if name == "hostname":
        raise place.error(f'"{found[0]}" may be the Pod or the node', "call it POD_NAME or NODE_NAME")
    if name in EXPORT_COLUMNS:
        raise place.error(f'"{found[0]}" has the name of a column of the export', "choose another name")
    return Field(name, found[0])


def field_name(written: str) -> str:
    """The field that a written name means: `POD_NAMESPACE` is `namespace`, `buildTeam` `build_team`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[-._]+", "_", written)
    snake = re.sub(r"_+", "_", words).strip("_").lower()
    return _MEANS.get(snake) or _MEANS.get(_OWNER.sub("", snake, count=1)) or snake


def _check_fields(whole: Place, levels: list[list[Token]]) -> None:
    seen: dict[str, str] = {}
    for number, level in enumerate(levels):
        for token in fields(level):
            if token.name in seen:
                what = f'"{token.written}" is the field {token.name} again, after "{seen[token.name]}"'
                raise whole.at(number).error(what, "name each field once")
            seen[token.name] = token.written
    if not seen:
        raise _no_field(whole)


def fields(level: list[Token]) -> list[Field]:
    return [token for token in level if isinstance(token, Field)]

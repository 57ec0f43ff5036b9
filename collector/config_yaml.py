"""A YAML file as plain values, with the place of each: so that a fault can be shown where it stands.

Every scalar stays text (`off`, `1e3`, `2026-11-22` mean nothing special here), but for `null`; what
a text means is the business of the setting that it is given to. Nothing is ever constructed from a
tag. The whole is bounded, so that neither depth nor aliases can make it large.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from collector.config_place import Fault, Place, Placed, shown
from collector.config_section import KeyPath
from collector.errors import ConfigError
from collector.terminal import printable

MOST_BYTES = 1 << 20
MOST_VALUES = 10_000
MOST_LEVELS = 32

_STANDARD_TAG = "tag:yaml.org,2002:"
_STANDARD_TAGS = frozenset(
    _STANDARD_TAG + kind
    for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read(path: Path, environ: Mapping[str, str]) -> Placed:
    """The file's values with `${VAR}` filled in from `environ`. Raises ConfigError where it is no YAML."""
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(
            printable(f"{_mark(path, error.problem_mark)}: not valid YAML: {error.problem}")
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(printable(f"{path}:{line}: not valid YAML: {error.reason}")) from None
    except RecursionError:
        raise ConfigError(printable(f"{path}: nested too deeply"), hint="write it flat") from None
    return _Reading(path, environ).whole(root)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise ConfigError(printable(f"{path}: larger than 1MiB"), hint="this is no configuration file")
        return body.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            printable(f"{path}: cannot be read: {error.strerror}"),
            hint="name the configuration file with --config or JOBLOG_CONFIG",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            printable(f"{path}: not UTF-8 at byte {error.start}"), hint="save it as UTF-8"
        ) from None


def _mark(path: Path, mark: yaml.Mark | None) -> str:
    return str(path) if mark is None else f"{path}:{mark.line + 1}:{mark.column + 1}"


class _Reading:
    """One walk over the nodes of one file."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._count = 0
        self._placed = Placed(origin=str(path))

    def whole(self, root: yaml.Node | None) -> Placed:
        if isinstance(root, yaml.MappingNode):
            self._mapping(root, (), self._placed.values)
        elif root is not None and not _is_null(root):
            self._fault(root, (), "should be settings, each as `key: value`")
        return self._placed

    def _value(self, node: yaml.Node, key: KeyPath) -> object:
        self._bound(node, key)
        if node.tag not in _STANDARD_TAGS:
            self._fault(node, key, "YAML tags are not supported: leave it out")
            return None
        if isinstance(node, yaml.MappingNode):
            values: dict[str, object] = {}
            self._mapping(node, key, values)
            return values
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*key, index)) for index, item in enumerate(node.value)]
        return None if _is_null(node) else self._filled(node, key)

    def _bound(self, node: yaml.Node, key: KeyPath) -> None:
        self._count += 1
        if self._count > MOST_VALUES or len(key) > MOST_LEVELS:
            where = _mark(self._path, node.start_mark)
            raise ConfigError(
                printable(f"{where}: too much: more than {MOST_VALUES} values or {MOST_LEVELS} levels"),
                hint="check the aliases (*name) in the file",
            )

    def _mapping(self, node: yaml.MappingNode, key: KeyPath, values: dict[str, object]) -> None:
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                self._fault(name_node, key, "a key should be text")
                continue
            name = str(name_node.value)
            here = (*key, name)
            if name in values:
                self._fault(name_node, here, "this key is there twice: leave one")
                continue
            self._place(name_node, here, value_node)
            values[name] = self._value(value_node, here)

    def _item(self, node: yaml.Node, key: KeyPath) -> object:
        self._place(node, key, node)
        return self._value(node, key)

    def _place(self, node: yaml.Node, key: KeyPath, value: yaml.Node) -> None:
        text = str(value.value) if isinstance(value, yaml.ScalarNode) else None
        self._placed.places[key] = Place(_mark(self._path, node.start_mark), text)

    def _fault(self, node: yaml.Node, key: KeyPath, what: str) -> None:
        self._placed.faults.append(Fault(_mark(self._path, node.start_mark), key, what))

    def _filled(self, node: yaml.Node, key: KeyPath) -> str:
        """The scalar with `${VAR}` filled in; `$${` is a literal `${`, `$(VAR)` is left alone."""

        def fill(match: re.Match[str]) -> str:
            name, closed = match[1], match[2]
            if name is None:
                return "${"
            if not closed:
                self._fault(node, key, "`${` without `}`: write `$${` for the characters themselves")
            elif not _VARIABLE_NAME.fullmatch(name):
                self._fault(node, key, f"{shown(name)} between `${{` and `}}` is no name of a variable")
            elif name not in self._environ:
                self._fault(node, key, f"the environment has no variable {name}: set it")
            return self._environ.get(name, "")

        return _VARIABLE.sub(fill, str(node.value))


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and str(node.tag) == _STANDARD_TAG + "null"

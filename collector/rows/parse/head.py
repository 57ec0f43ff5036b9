"""Patterns that begin as a chain and go on otherwise: the beginning is scanned, only the rest is for `re`.

A chain takes what `re` tries first. So where the rest matches behind it, that is the match that `re` finds;
where it does not, `re` has the whole row (decision 0007).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _compiler as compiler  # type: ignore[attr-defined]  # as in `chain`
from re import _constants as c  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from collector.rows.parse.chain import ALLOWED_FLAGS, Chain, Run, chain_of
from collector.rows.parse.char_class import Tree
from collector.value import value

LEAST_RUNS = 2
"""Of a beginning: to scan for fewer would not be worth it."""


@value
class Head:
    """The groups of `rest` are numbered from 1 on."""

    chain: Chain
    rest: re.Pattern[str]


def compile_head(pattern: re.Pattern[str]) -> Head | None:
    """The longest beginning that is a chain; None where that is too little, or the rest looks back at it."""
    if pattern.flags & ~ALLOWED_FLAGS:
        return None
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)
    for count in range(len(tree) - 1, 0, -1):
        chain = chain_of(tree[:count], pattern.flags)
        if chain is not None:
            break
    else:
        return None
    runs = sum(isinstance(element, Run) for element in chain.elements)
    if runs < LEAST_RUNS or _looks_back(tree[count:]):
        return None
    before = len(chain.groups)
    state = parser.State()
    state.flags, state.groupwidths = tree.state.flags, tree.state.groupwidths[before:]
    return Head(chain, compiler.compile(_renumbered(tree[count:], state, before), pattern.flags))


def _renumbered(value: Any, state: Any, before: int) -> Any:  # noqa: ANN401 - the parser's trees have no types
    """A tree, or what a node of it has: without the groups `before` it."""
    if isinstance(value, parser.SubPattern):
        nodes = []
        for op, of in value:
            if op is c.SUBPATTERN and of[0] is not None:
                of = (of[0] - before, *of[1:])  # noqa: PLW2901 - the same node
            nodes.append((op, _renumbered(of, state, before)))
        return parser.SubPattern(state, nodes)
    if isinstance(value, tuple | list):
        return type(value)(_renumbered(each, state, before) for each in value)
    return value


def _looks_back(tree: Tree) -> bool:
    """Whether what it matches depends on what stands before it."""
    return any(
        op in (c.GROUPREF, c.GROUPREF_EXISTS)
        or (op is c.AT and value not in (c.AT_END, c.AT_END_STRING))
        or (op in (c.ASSERT, c.ASSERT_NOT) and value[0] < 0)
        for op, value in _nodes(tree)
    )


def _nodes(tree: Tree) -> Iterator[tuple[Tree, Tree]]:
    for op, argument in tree:
        yield op, argument
        for inner in _trees(argument):
            yield from _nodes(inner)


def _trees(value: Any) -> Iterator[Tree]:  # noqa: ANN401 - the parser's trees have no types
    if isinstance(value, parser.SubPattern):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _trees(each)

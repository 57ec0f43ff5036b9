"""The page of the promise holds: each fault on it names tests, and each test that it names exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "promise.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[(\w+)\])?`")
COLUMNS = ["fault", "what happens", "what you see", "what is guaranteed", "shown by"]


def rows() -> Iterator[list[str]]:
    """The cells of each fault; tables of another shape are a mistake on that page."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if cells != COLUMNS:
                yield cells


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    "cells", list(rows()), ids=lambda cells: re.sub(r"\W+", "-", cells[0])[:50].strip("-")
)
def test_every_fault_is_shown_by_tests_that_exist(cells: list[str]):
    """A row says all five things, and its tests are there."""
    assert len(cells) == len(COLUMNS), cells
    assert all(cells), f"an empty cell: {cells[0]}"
    named = TEST.findall(cells[-1])
    assert named, f"no test: {cells[0]}"
    for file, test, case in named:
        assert (ROOT / file).exists(), file
        assert test in functions(ROOT / file), f"{file}::{test}"
        assert case in (ROOT / file).read_text(), f"{file}::{test}[{case}]"

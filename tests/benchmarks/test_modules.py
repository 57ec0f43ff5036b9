"""What measures is there to be run: nobody else imports it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

MODULES = sorted(path.stem for path in Path(__file__).parents[2].joinpath("bench").glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_it_can_be_imported(name: str) -> None:
    """Each module of the benchmarks finds what it takes from the product."""
    assert importlib.import_module(f"bench.{name}")

"""Hostile bytes: each reader of foreign input gives a value or a JoblogError. See `fuzz_targets.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fuzz_targets import TARGETS

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
LONG_SECONDS = float(os.environ.get("JOBLOG_SOAK_SECONDS", "1200")) * 0.08

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="atheris has no wheel for this Python or machine"
)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_once_found(name: str) -> None:
    """Each input of the corpus (first ones, and those that once broke something) keeps its target's claim."""
    inputs = sorted(CORPUS.joinpath(name).iterdir())
    assert inputs
    for path in inputs:
        TARGETS[name](path.read_bytes())


def fuzz(name: str, seconds: float, found: Path) -> None:
    done = subprocess.run(
        [sys.executable, "fuzz_one.py", name, f"{seconds:.0f}", str(found), str(CORPUS / name)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    broken = [path.read_bytes() for path in found.glob("*-*")]
    assert done.returncode == 0, f"{broken}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@needs_atheris
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it(name: str, tmp_path: Path) -> None:
    """One second of further inputs, grown from the corpus by what they reach in the code."""
    fuzz(name, 1, tmp_path)


@needs_atheris
@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_breaks_it_for_longer(name: str, tmp_path: Path) -> None:
    """The same for a share of `JOBLOG_SOAK_SECONDS`."""
    fuzz(name, max(1.0, LONG_SECONDS / len(TARGETS)), tmp_path)

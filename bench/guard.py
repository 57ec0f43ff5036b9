"""Nothing became slower: ratios to the limit, and instructions for a byte, against `bench/baseline.json`.

Ratios are of CPU seconds, without those of the start of a process: of the least that the limit took to the
least that the case took, measured in turn. On a loaded machine both are too high at first and fall with each
try; so all is tried again where something seems to have fallen. Instructions do not know what else the
machine does; they are compared only on the kind of machine and with the libraries of the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cases import QUICK
from bench.instructions import counted, of_machine
from bench.process import ROOT
from bench.result import Result
from bench.workbench import Bench, Case, best

BASELINE = ROOT / "bench" / "baseline.json"
LEAST_RATIO = 0.75
MOST_INSTRUCTIONS = 1.1
TRIES = 4

Play = Callable[[Bench, dict[str, Case]], Iterator[Result]]
Say = Callable[[str], None]
Count = Callable[[], dict[str, float] | None]
"""Instructions for a byte, by case; None where they cannot be counted."""


def guard(
    folder: Path,
    accept: bool,
    play: Play,
    say: Say,
    *,
    cases: dict[str, Case] = QUICK,
    count: Count = counted,
    baseline: Path = BASELINE,
) -> int:
    """The exit code. With `accept`, what is found becomes the baseline, but where it is not exact."""
    before = json.loads(baseline.read_text())
    counts = _counts(count, before, accept, say)
    bench = Bench(folder, large_bytes=192 << 20, small_files=2000, seconds=5, repeats=2)
    found: dict[str, Result] = {}
    for _ in range(TRIES):
        for result in play(bench, cases):
            if not result.exact:
                say(f"WRONG: {result.case}: not all lines came out as they should")
                return 1
            known = found.get(result.case)
            found[result.case] = replace(result, cost=best(known and known.cost, result.cost))
        ratios = {name: result.ratio_after_start for name, result in found.items()}
        if not accept and not _fallen(ratios, before["ratios"]):
            break
    if accept:
        after = {"ratios": _rounded(ratios), "machine": of_machine(), "instructions": _rounded(counts or {})}
        baseline.write_text(json.dumps(after, indent=2) + "\n")
        return 0
    fallen = [*_fallen(ratios, before["ratios"]), *_strange(ratios, before["ratios"])]
    if counts is not None:
        fallen += [*_grown(counts, before["instructions"]), *_strange(counts, before["instructions"])]
    for line in fallen:
        say(f"FELL: {line}")
    return int(bool(fallen))


def _counts(count: Count, before: dict[str, Any], accept: bool, say: Say) -> dict[str, float] | None:
    if not accept and before["machine"] != of_machine():
        say(f"instructions not compared: the baseline is of {before['machine']}, this is {of_machine()}")
        return None
    say("counting instructions (valgrind)")
    counts = count()
    if counts is None:
        say("instructions not compared: there is no valgrind here (Debian: apt-get install valgrind)")
    for name, value in (counts or {}).items():
        say(f"{name:24} {value:6.1f} instructions a byte (baseline {before['instructions'].get(name, '-')})")
    return counts


def _strange(found: dict[str, float], before: dict[str, float]) -> list[str]:
    """Cases that are in one of the two only, which nothing was compared with."""
    strange = sorted(found.keys() ^ before.keys())
    return [f"{name}: {'not in the baseline' if name in found else 'not measured'}" for name in strange]


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def _fallen(ratios: dict[str, float], before: dict[str, float]) -> list[str]:
    return [
        f"{name}: {ratio:.3f} of the limit, it was {before[name]:.3f}"
        for name, ratio in ratios.items()
        if ratio < before.get(name, 0.0) * LEAST_RATIO
    ]


def _grown(counts: dict[str, float], before: dict[str, float]) -> list[str]:
    return [
        f"{name}: {count:.1f} instructions a byte, it was {before[name]:.1f}"
        for name, count in counts.items()
        if count > before.get(name, count) * MOST_INSTRUCTIONS
    ]

"""Results → `bench/results.json`, the table of `docs/benchmarks.md` and its plot."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pyarrow as pa

from bench.process import ROOT
from bench.result import Result
from bench.targets import AT_MOST, reached
from bench.workbench import Bench

PAGE, PLOT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "benchmarks.svg"
RESULTS = ROOT / "bench" / "results.json"
BEGIN, END = "<!-- results: made by `make bench` -->", "<!-- end of results -->"

IMAGE = f"\n![MB per CPU second]({PLOT.name})"

BAR, GAP, LEFT, WIDTH = 16, 6, 300, 860
"""Of the plot, in pixels."""


def write(results: Sequence[Result], bench: Bench) -> None:
    about = _about() | {"large file": f"{bench.large_bytes >> 20} MiB", "repeats": bench.repeats}
    RESULTS.write_text(
        json.dumps({**about, "results": [result.as_json() for result in results]}, indent=1) + "\n"
    )
    page = PAGE.read_text()
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    told = ", ".join(f"{name} {value}" for name, value in about.items())
    whole = [result for result in results if not result.stages]
    tables = "\n".join([*target_lines(results), "", *_table(whole), "", *stage_lines(results)])
    PAGE.write_text(f"{head}{BEGIN}\n{told}.\n\n{tables}\n{IMAGE}\n{END}{tail}")
    PLOT.write_text(_plot([result for result in whole if result.input_bytes]))


def _about() -> dict[str, str | int | None]:
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "CPU": cpu or platform.machine(),
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        "pyarrow": pa.__version__,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def target_lines(results: Sequence[Result]) -> Iterator[str]:
    """The table of what was to be reached; the figure that counts is in bold."""
    yield "| target | to be reached | by CPU | by the clock | |"
    yield "|---|---|---|---|---|"
    for each in reached(results):
        sign = "≤" if each.unit in AT_MOST else "≥"
        figures = [
            "-" if value is None else f"**{value:.4g}**" if each.counts == which else f"{value:.4g}"
            for which, value in (("CPU", each.cpu), ("clock", each.clock))
        ]
        met = "met" if each.is_met else "**not met**"
        yield f"| {each.case} | {sign} {each.bound:g} {each.unit} | {' | '.join(figures)} | {met} |"


def _table(results: Sequence[Result]) -> Iterator[str]:
    columns = "case|program|MB/s|MB per CPU second|after the start|of the limit, by CPU|by the clock"
    columns += "|peak MB|out MB|exact"
    yield f"| {columns.replace('|', ' | ')} |"
    yield "|" + "---|" * len(columns.split("|"))
    for result in results:
        speed = [f"{result.cost.wall_seconds:.2f} s", f"{result.cost.cpu_seconds:.2f} CPU s"]
        if result.input_bytes:
            speed = [f"{result.mb_per_second:.0f}", f"{result.mb_per_cpu_second:.0f}"]
        after = f"{result.mb_after_start:.0f}" if result.start_cpu_seconds else "-"
        limit = f"{result.ratio:.2f} of {result.limit}" if result.ratio else "-"
        by_wall = f"{result.ratio_by_wall:.2f}" if result.ratio_by_wall else "-"
        notes = "".join(f"; {value:.2f} {name}" for name, value in result.notes.items())
        out = f"{result.out_bytes / 1e6:.1f}" if result.out_bytes else "-"
        exact = {True: "yes", False: "**no**", None: "-"}[result.exact]
        values = [result.case + notes, result.program, *speed, after, limit, by_wall]
        yield "| " + " | ".join([*values, f"{result.cost.peak_bytes / 1e6:.0f}", out, exact]) + " |"


def stage_lines(results: Sequence[Result]) -> Iterator[str]:
    """The table of what each step takes, and what follows from it for any run on so many cores."""
    measured = [result for result in results if result.stages]
    if not measured:
        return
    cores = os.cpu_count() or 1
    yield f"| nanoseconds of CPU a byte | {' | '.join(result.case for result in measured)} |"
    yield "|" + "---|" * (len(measured) + 1)
    for stage in measured[0].stages:
        yield f"| {stage} | {' | '.join(f'{result.stages[stage]:.2f}' for result in measured)} |"
    sums = [sum(result.stages.values()) for result in measured]
    yield f"| **all** | {' | '.join(f'**{total:.2f}**' for total in sums)} |"
    best = [(result.ratio or 0.0) * cores for result in measured]
    yield f"| the limit over all, on {cores} cores | {' | '.join(f'{ratio:.2f}' for ratio in best)} |"


def _plot(results: Sequence[Result]) -> str:
    """Bars of MB per CPU second; where there is a limit, a thin bar of it behind."""
    speeds = [result.mb_per_cpu_second for result in results]
    scale = (WIDTH - LEFT - 60) / max(speeds, default=1.0)
    height = (BAR + GAP) * len(results) + 30
    rows = [_bar(result, 24 + at * (BAR + GAP), scale) for at, result in enumerate(results)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11">\n<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        f'<text x="{LEFT}" y="14" font-weight="bold">MB per CPU second</text>\n'
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def _bar(result: Result, top: int, scale: float) -> str:
    length = result.mb_per_cpu_second * scale
    color = "#2b6cb0" if result.program == "joblog" else "#a0aec0"
    name = escape(result.case if result.program == "joblog" else f"{result.program}: {result.case}")
    return (
        f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{name}</text>'
        f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
        f'<text x="{LEFT + length + 4:.1f}" y="{top + 12}">{result.mb_per_cpu_second:.0f}</text>'
    )

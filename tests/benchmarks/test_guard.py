"""The regression guard: what it lets pass, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.guard import TRIES, guard
from bench.instructions import of_machine
from bench.process import Cost
from bench.result import Result
from bench.workbench import Bench, Case

MB = 1_000_000
START, LIMIT = 0.5, 0.2
RATIOS = {"one file": 0.4, "CRI": 0.25}
COUNTS = {"parquet": 40.0, "CRI": 80.0}


def measured(case: str, cpu_seconds: list[float], *, exact: bool = True) -> Case:
    """A case that took so many CPU seconds, start included, one try after the other."""
    costs = iter(cpu_seconds)

    def results(_: Bench) -> Iterator[Result]:
        took = Cost(9.0, next(costs), 1)
        yield Result(
            case, "joblog", MB, took, exact=exact, limit_cost=Cost(LIMIT, LIMIT, 1), start_cpu_seconds=START
        )

    return results


def seconds(ratio: float) -> float:
    return START + LIMIT / ratio


def play(bench: Bench, cases: dict[str, Case]) -> Iterator[Result]:
    for case in cases.values():
        yield from case(bench)


class Guarded:
    """A baseline in a folder, and runs of the guard against it."""

    def __init__(self, folder: Path) -> None:
        self.baseline, self.folder, self.said = folder / "baseline.json", folder, list[str]()
        self.write(machine=of_machine())

    def write(self, *, machine: str) -> None:
        told = {"ratios": RATIOS, "machine": machine, "instructions": COUNTS}
        self.baseline.write_text(json.dumps(told))

    def run(
        self,
        one_file: list[float],
        counts: dict[str, float] | None = COUNTS,
        *,
        more: dict[str, Case] | None = None,
        accept: bool = False,
    ) -> int:
        """With so many seconds of the case `one file` in each try, and CRI as in the baseline."""
        cases = {
            "one": measured("one file", one_file),
            "two": measured("CRI", [seconds(RATIOS["CRI"])] * TRIES),
            **(more or {}),
        }
        return guard(
            self.folder,
            accept,
            play,
            self.said.append,
            cases=cases,
            count=lambda: counts,
            baseline=self.baseline,
        )

    @property
    def fell(self) -> list[str]:
        return [line for line in self.said if line.startswith(("FELL", "WRONG"))]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


def test_as_fast_as_the_baseline_passes_at_once(guarded):
    """The first try is enough where nothing fell: a second one would find no more seconds here."""
    assert guarded.run([seconds(0.4)]) == 0
    assert guarded.fell == []


def test_a_fall_of_less_than_a_quarter_passes(guarded):
    """A case may be a little slower than the baseline, as machines are from day to day."""
    assert guarded.run([seconds(0.31)]) == 0


def test_a_case_that_became_slower_fails(guarded):
    """A third slower in each try is a fall, and the case, its ratio and the one before are named."""
    assert guarded.run([seconds(0.26)] * TRIES) == 1
    assert guarded.fell == ["FELL: one file: 0.260 of the limit, it was 0.400"]


def test_a_disturbed_try_is_made_up_for_by_a_later_one(guarded):
    """What was slow once and then was not, was the machine."""
    assert guarded.run([seconds(0.2), seconds(0.3), seconds(0.39)]) == 0


def test_the_start_of_the_process_does_not_hide_a_fall(guarded):
    """Seconds of the start are taken off: twice the work is a fall, though it is not twice the seconds."""
    work = seconds(0.4) - START
    assert START + 2 * work < 2 * seconds(0.4)
    assert guarded.run([START + 2 * work] * TRIES) == 1


def test_a_tenth_more_instructions_fail(guarded):
    """One kind of work that needs more instructions for a byte fails, whatever the seconds say."""
    assert guarded.run([seconds(0.4)], {**COUNTS, "CRI": 88.8}) == 1
    assert guarded.fell == ["FELL: CRI: 88.8 instructions a byte, it was 80.0"]


def test_a_few_more_instructions_pass(guarded):
    """Counts differ a little from run to run."""
    assert guarded.run([seconds(0.4)], {**COUNTS, "CRI": 87.0}) == 0


def test_instructions_of_another_machine_are_not_compared(guarded):
    """They would tell of the libraries, and the line says so."""
    guarded.write(machine="another one")
    assert guarded.run([seconds(0.4)], {"parquet": 400.0, "CRI": 800.0}) == 0
    assert any("not compared" in line and "another one" in line for line in guarded.said)


def test_without_valgrind_ratios_are_still_compared(guarded):
    """No counts are no excuse."""
    assert guarded.run([seconds(0.4)], None) == 0
    assert guarded.run([seconds(0.2)] * TRIES, None) == 1


def test_wrong_results_fail_however_fast(guarded):
    """What does not come out as it should is worth no second."""
    wrong = measured("raw", [seconds(1.0)], exact=False)
    assert guarded.run([seconds(0.4)], more={"raw": wrong}) == 1
    assert guarded.fell == ["WRONG: raw: not all lines came out as they should"]


def test_a_case_that_nothing_is_known_of_fails(guarded):
    """A case under a new name would never be compared, and the old one neither."""
    new = measured("raw", [seconds(1.0)])
    assert guarded.run([seconds(0.4)], {"parquet": 40.0}, more={"raw": new}) == 1
    assert guarded.fell == ["FELL: raw: not in the baseline", "FELL: CRI: not measured"]


def test_accept_writes_the_best_of_all_tries(guarded):
    """The new baseline is what the least seconds say, and the next run is held against it."""
    tries = [seconds(0.5), seconds(0.8), seconds(0.4), seconds(0.4)]
    assert guarded.run(tries, {"parquet": 30.0, "CRI": 70.0}, accept=True) == 0
    told = json.loads(guarded.baseline.read_text())
    assert told["ratios"] == {"one file": 0.8, "CRI": 0.25}
    assert told["instructions"] == {"parquet": 30.0, "CRI": 70.0}
    assert guarded.run([seconds(0.5)] * TRIES, {"parquet": 30.0, "CRI": 70.0}) == 1

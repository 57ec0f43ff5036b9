"""What is to be reached, and whether it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import data
from bench.process import Cost
from bench.result import Result
from bench.targets import BESIDE_ITS_BYTES, reached

CASE = "10,000 files of 20 KiB, 100 a source"


@pytest.mark.parametrize(("figure", "is_met"), [(59.9, True), (60.1, False)])
def test_what_a_file_takes_beside_its_bytes_is_a_target_by_cpu(figure: float, is_met: bool) -> None:
    """At most so many microseconds of CPU, whatever the clock said."""
    result = Result(CASE, "joblog", 1, Cost(1.0, 1.0, 1), notes={BESIDE_ITS_BYTES: figure})
    found = [each for each in reached([result]) if each.unit == BESIDE_ITS_BYTES]
    assert [(each.cpu, each.clock, each.counts, each.is_met) for each in found] == [
        (figure, None, "CPU", is_met)
    ]


def test_what_was_not_measured_is_no_target() -> None:
    """A result without that figure is told as neither met nor missed."""
    result = Result(CASE, "joblog", 1, Cost(1.0, 1.0, 1))
    assert BESIDE_ITS_BYTES not in {each.unit for each in reached([result])}


def test_one_file_of_the_same_bytes(tmp_path: Path) -> None:
    """It is compared with a file that holds just what all of them hold."""
    volume = data.many_files(tmp_path, 3, 20 << 10, 2)
    parts = [file.read_bytes() for file in sorted(volume.rglob("*.log"))]
    assert [file.read_bytes() for file in data.as_one_file(volume).rglob("*.log")] == [b"".join(parts)]


def test_what_stages_come_to_is_no_run() -> None:
    """Their sum bears the name of a case, and is not what that was to reach."""
    cost = Cost(1.0, 1.0, 1)
    stages = Result("CRI, varied lines", "joblog", 1, cost, limit_cost=cost, stages={"read": 1.0})
    assert not list(reached([stages]))

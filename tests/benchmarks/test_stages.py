"""The steps that a benchmark takes apart: each case comes to its end, and every stage is there."""

import json

import pytest

from bench import data
from bench.stages import CASES, STAGES, main

BYTES = 1 << 20


@pytest.mark.parametrize("case", CASES)
def test_every_case_goes_through_all_of_a_file(case, tmp_path, capsys):
    """Also where what ends the file is still open, as the last trace is."""
    volume = data.one_file(tmp_path, CASES[case][0], BYTES)
    main(case, str(next(volume.rglob("*.log"))))
    told = json.loads(capsys.readouterr().out)
    assert list(told) == list(STAGES)
    assert told["read"] > 0

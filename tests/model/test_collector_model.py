"""The model, run: for a moment by default, for as long as wanted as a soak test."""

from __future__ import annotations

import os
import time

import pytest
from collector_model import CollectorModel, actions
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

QUICK = settings(
    max_examples=200,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    # Real files and threads take their time, and say nothing of what is generated.
    suppress_health_check=list(HealthCheck),
)
LONG = settings(
    QUICK,
    derandomize=False,
    max_examples=50,
    stateful_step_count=int(os.environ.get("JOBLOG_MODEL_STEPS", "80")),
)
LONG_SECONDS = float(os.environ.get("JOBLOG_SOAK_SECONDS", "1200")) * 0.1


def test_any_writers_any_crashes():
    """Whatever writers do, and wherever collectors are killed, stopped, started anew with or without their
    state, or taken over: at rest each line is there once, losses are counted, and receipts are true.
    """
    run_state_machine_as_test(CollectorModel, settings=QUICK)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_any_writers_any_crashes_for_long(request: pytest.FixtureRequest):
    """The same for a tenth of JOBLOG_SOAK_SECONDS, in runs of JOBLOG_MODEL_STEPS steps, others each time.
    Tells how often each thing was done.
    """
    actions.clear()
    until = time.monotonic() + LONG_SECONDS
    while time.monotonic() < until:
        run_state_machine_as_test(CollectorModel, settings=LONG)
    told = ", ".join(f"{action} {count}" for action, count in actions.most_common())
    request.config.get_terminal_writer().line(f"\n{told}")

"""A signal comes between any two steps of the main thread, also while it waits for what the signal sets."""

import signal
import subprocess
import sys

import pytest

MANY = """
import signal
from collector.signals import End
ends, end = 0, End()
def tell(number, frame):
    end.set()
signal.signal(signal.SIGALRM, tell)
while ends < 3000:
    signal.setitimer(signal.ITIMER_REAL, 0.0001)
    while not end.is_set():
        end.wait(0.00001)
    ends, end = ends + 1, End()
"""

NESTED = """
import os, signal
from collector.signals import ending
calls = []
def tell():
    calls.append("tell")
    os.kill(os.getpid(), signal.{second})
    calls.append("survived")
try:
    with ending(tell):
        os.kill(os.getpid(), signal.{first})
finally:
    print(calls, flush=True)
"""


def test_a_signal_may_come_at_any_step_of_a_wait():
    """Each of 3,000 waits is ended by a signal that comes at some step of it; none waits for itself."""
    assert subprocess.run([sys.executable, "-c", MANY], timeout=120, check=False).returncode == 0


@pytest.mark.parametrize("first", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_the_process(first: str, second: str):
    """Whichever of the two it is, also while the first one is being told."""
    script = NESTED.format(first=first, second=second)
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False, capture_output=True)
    assert done.returncode == -getattr(signal, second)
    assert done.stdout == b""

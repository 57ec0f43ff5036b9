"""Runs a program and says what it took: wall clock, CPU seconds, peak memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A program ended otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Cost:
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(command: Sequence[str], *, seconds: float = 900, environment: Mapping[str, str] = {}) -> Cost:
    """Waits for the end; raises Failed where that is no good one, with the last of what the program said."""
    began, peak = time.monotonic(), 0
    process = start(command, environment)
    try:
        while True:
            # What the kernel tells at the end is at least what this process has itself: it counts the fork.
            peak = resident_bytes(process.pid) or peak
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > seconds:
                raise Failed(f"{command[0]} did not end within {seconds:.0f} s")
            time.sleep(0.005)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"{' '.join(command[:4])} … ended with {process.returncode}")
    return Cost(time.monotonic() - began, usage.ru_utime + usage.ru_stime, peak)


def start(
    command: Sequence[str], environment: Mapping[str, str] = {}, log: Path = Path(os.devnull)
) -> subprocess.Popen[bytes]:
    """What it says on stderr goes to `log`."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as told:
        return subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **environment}, stdout=subprocess.DEVNULL, stderr=told
        )


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] = {}, log: Path = Path(os.devnull)
) -> Iterator[subprocess.Popen[bytes]]:
    """Ended by SIGTERM; raises Failed where it had ended before, or does not end well."""
    process = start(command, environment, log)
    try:
        yield process
        if process.poll() is not None:
            raise Failed(f"{' '.join(command[:4])} … ended with {process.returncode}")
        process.send_signal(signal.SIGTERM)
        if process.wait(60):
            raise Failed(f"{' '.join(command[:4])} … ended with {process.returncode}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """What a running process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_bytes(pid: int) -> int:
    """The most that a running process had in memory; 0 for one that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def joblog(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "collector", *map(str, arguments)]

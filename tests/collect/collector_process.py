"""Collectors and writers as real processes, with deadlines instead of sleeps."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collector.cli import main

WITHIN_SECONDS = 60.0
WRITER = Path(__file__).with_name("numbered_writer.py")
AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""So permissions hold for root too, without whom some tests are run."""

JOBLOG = (sys.executable, "-m", "collector")


def wait_until(what: str, reached: Callable[[], object], within: float = WITHIN_SECONDS) -> None:
    """Asks again and again until `reached()` is true. Fails with `what` when the time is over."""
    deadline = time.monotonic() + within
    while not reached():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.0005)


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code, what it printed, and its log as events."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for line in self.stderr.splitlines() if (event := as_event(line))]

    @property
    def errors(self) -> list[str]:
        """The lines that are for the user."""
        return [line for line in self.stderr.splitlines() if line.startswith("joblog: error: ")]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


@dataclass(frozen=True)
class Site:
    """Where one collector reads, writes, and remembers."""

    volume: Path
    to: str
    state: Path
    options: tuple[str, ...] = ()

    def source(self, pod: str = "demo-x6nnw", namespace: str = "shop") -> Path:
        """A Pod's directory, made if it is not there."""
        folder = self.volume / f"{namespace}_{pod}_10.244.0.7_10.0.0.1_node-1"
        folder.mkdir(exist_ok=True)
        return folder

    def with_state(self, state: Path) -> Site:
        return replace(self, state=state)

    def having(self, *options: str) -> Site:
        return replace(self, options=(*self.options, *options))

    def arguments(self, *options: str) -> list[str]:
        where = ["--volume", str(self.volume), "--to", self.to, "--state", str(self.state)]
        return ["run", *where, "--http", "off", "--log-format", "json", *self.options, *options]

    def once(self, *options: str, env: dict[str, str] | None = None) -> Ended:
        return joblog(*self.arguments("--once", *options), env=env)

    def verify(self) -> Ended:
        """What `verify` says of destination and volume. In this process: it only reads."""
        return verify("--to", self.to, "--volume", str(self.volume))


def joblog(
    *arguments: str, env: dict[str, str] | None = None, prefix: Sequence[str] = (), within: float = 120
) -> Ended:
    """Runs a command to its end."""
    done = subprocess.run(
        [*prefix, *JOBLOG, *arguments],
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def verify(*options: str) -> Ended:
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main(["verify", *options])
    return Ended(code, printed.getvalue(), "")


class Collector:
    """A running collector, and its log as it comes."""

    def __init__(self, site: Site, *options: str, prefix: Sequence[str] = ()) -> None:
        self.site = site
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [*prefix, *JOBLOG, *site.arguments(*options)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def lines(self) -> list[str]:
        with self._changed:
            return list(self._lines)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for line in self.lines if (event := as_event(line)) and event["event"] == name]

    def wait_for(self, name: str, count: int = 1, within: float = WITHIN_SECONDS) -> dict[str, Any]:
        """The `count`-th event of this name. Fails where the collector ends before."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._named(name)) >= count or self._ended(), within)
            found = self._named(name)
            assert len(found) >= count, f"{count} {name} expected:\n" + "\n".join(self._lines)
            return found[count - 1]

    def wait_for_lines(self, count: int, within: float) -> None:
        """Returns when so many lines were logged, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._lines) >= count or self._ended(), within)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`, whatever it does just now."""
        self._process.kill()
        self._end()

    def stop(self, number: int = signal.SIGTERM, within: float = WITHIN_SECONDS) -> int:
        """Asks it to end, and returns its exit code."""
        self.send(number)
        return self.wait(within)

    def wait(self, within: float = WITHIN_SECONDS) -> int:
        self._process.wait(within)
        return self._end()

    def abandon(self) -> None:
        """Ends it, if it still runs; also one that is paused."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._end()

    def ended(self) -> Ended:
        return Ended(self.wait(), "", self.log)

    def _end(self) -> int:
        code = self._process.wait()
        self._reader.join()
        return code

    def _ended(self) -> bool:
        return not self._reader.is_alive() and not self.is_running

    def _named(self, name: str) -> list[dict[str, Any]]:
        return [event for line in self._lines if (event := as_event(line)) and event["event"] == name]

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def as_event(line: str) -> dict[str, Any] | None:
    """An event of the log; None for other lines, and for one that a kill cut off."""
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and "event" in found:
            return found
    return None


class Writer:
    """Jobs that write numbered lines until `stop`."""

    def __init__(self, volume: Path, tag: str, lines_per_second: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WRITER), str(volume), tag, str(lines_per_second)]
        )

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(WITHIN_SECONDS) == 0

    def abandon(self) -> None:
        self._process.kill()
        self._process.wait()

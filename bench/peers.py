"""Other collectors that are on PATH: one large file to JSON lines on disk, with their defaults and tuned.

Each has two configurations in `bench/peers/`, `NAME-defaults.EXT` and `NAME-tuned.EXT`, in which @INPUT@,
@OUTPUT@ and @STATE@ are replaced. A peer follows its file for ever, so it is ended once its output grows no
more. It counts only where all lines came out.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from bench import data, export
from bench.memory import in_memory
from bench.process import ROOT, Cost, Failed, cpu_seconds, resident_bytes, running
from bench.result import Result
from bench.workbench import Bench

PEERS: dict[str, list[str]] = {
    "fluent-bit": ["fluent-bit", "-c", "@CONFIG@"],
    "vector": ["vector", "--config", "@CONFIG@"],
    "otelcol-contrib": ["otelcol-contrib", "--config", "@CONFIG@"],
    "filebeat": ["filebeat", "-c", "@CONFIG@", "--path.data", "@STATE@", "--strict.perms=false"],
    "rsyslogd": ["rsyslogd", "-n", "-f", "@CONFIG@", "-i", "@STATE@/pid"],
    "syslog-ng": [
        *("syslog-ng", "--foreground", "--cfgfile=@CONFIG@", "--persist-file=@STATE@/persist"),
        *("--pidfile=@STATE@/pid", "--control=@STATE@/control"),
    ],
}
QUIET_SECONDS = 3.0
LONGEST_SECONDS = 300.0


def peers(bench: Bench) -> Iterator[Result]:
    volume = data.one_file(bench.folder, "varied", bench.large_bytes // 4)
    for name, command in PEERS.items():
        if shutil.which(command[0]):
            for config in sorted((ROOT / "bench" / "peers").glob(f"{name}-*")):
                yield _run(bench, config, command, volume)


def _run(bench: Bench, config: Path, command: list[str], volume: Path) -> Result:
    output, state = bench.fresh()
    output.mkdir()
    state.mkdir()
    path = next(volume.rglob("*.log"))
    places = {"@INPUT@": str(path), "@OUTPUT@": str(output), "@STATE@": str(state)}
    filled = state / config.name
    filled.write_text(_replaced(config.read_text(), places))
    places["@CONFIG@"] = str(filled)
    rows, size = export.expected(volume)
    program = config.stem
    try:
        with in_memory(volume), running([_replaced(part, places) for part in command]) as process:
            cost = _until_quiet(output, process.pid)
    except Failed:
        cost = Cost(float("inf"), float("inf"), 0)
    lines = sum(_line_feeds(path) for path in output.rglob("*") if path.is_file())
    out = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Result("one file, plain JSON", program, size, cost, out_bytes=out, exact=lines == rows)


def _until_quiet(output: Path, pid: int) -> Cost:
    """Until the output has not grown for a while; the while does not count."""
    began = changed = time.monotonic()
    used, size = 0.0, -1
    while time.monotonic() - changed < QUIET_SECONDS or size <= 0:
        time.sleep(0.05)
        now = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        if now != size:
            size, changed, used = now, time.monotonic(), cpu_seconds(pid)
        if time.monotonic() - began > LONGEST_SECONDS:
            break
    return Cost(changed - began, used, resident_bytes(pid))


def _line_feeds(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 24), b""))


def _replaced(text: str, places: dict[str, str]) -> str:
    for mark, value in places.items():
        text = text.replace(mark, value)
    return text

"""Other collectors that are on PATH: one large file to JSON lines on disk, with their defaults and tuned.

Each has two configurations in `bench/peers/`, `NAME-defaults.EXT` and `NAME-tuned.EXT`, in which @INPUT@,
@OUTPUT@ and @STATE@ are replaced. A peer follows its file for ever, so it is ended once its output grows no
more. It counts only where all lines came out. promtail sends to Loki only: it prints its lines instead.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import data, export
from bench.memory import in_memory
from bench.process import ROOT, Cost, Failed, cpu_seconds, resident_bytes, running
from bench.result import Result
from bench.workbench import Bench


@dataclass(frozen=True)
class Peer:
    """`mark` is what its output has once for each line."""

    command: tuple[str, ...]
    mark: bytes = b"\n"


PEERS = {
    "fluent-bit": Peer(("fluent-bit", "-c", "@CONFIG@")),
    "vector": Peer(("vector", "--config", "@CONFIG@")),
    # A batch is one line; in a text, a quotation mark would have a backslash before it.
    "otelcol-contrib": Peer(("otelcol-contrib", "--config", "@CONFIG@"), b'"body":{"stringValue":"'),
    "filebeat": Peer(
        (
            *("filebeat", "-c", "@CONFIG@", "--strict.perms=false"),
            *("--path.data", "@STATE@", "--path.logs", "@STATE@"),
        )
    ),
    "promtail": Peer(
        ("sh", "-c", "exec promtail -config.file=@CONFIG@ -dry-run 2>/dev/null >@OUTPUT@/out.txt"),
        b'job="bench"}\t',
    ),
    "rsyslogd": Peer(("rsyslogd", "-n", "-f", "@CONFIG@", "-i", "@STATE@/pid")),
    "syslog-ng": Peer(
        (
            *("syslog-ng", "--foreground", "--cfgfile=@CONFIG@", "--persist-file=@STATE@/persist"),
            *("--pidfile=@STATE@/pid", "--control=@STATE@/control"),
        )
    ),
}
QUIET_SECONDS = 3.0
STALLED_SECONDS = 15.0
"""Nothing more is to come after so long without output; some look for files every ten seconds only."""

LONGEST_SECONDS = 300.0
BLOCK_BYTES = 16 << 20


def peers(bench: Bench) -> Iterator[Result]:
    volume = data.one_file(bench.folder, "varied", bench.large_bytes // 4)
    for name, peer in PEERS.items():
        if shutil.which(name):
            for config in sorted((ROOT / "bench" / "peers").glob(f"{name}-*")):
                yield _run(bench, config, peer, volume)


def _run(bench: Bench, config: Path, peer: Peer, volume: Path) -> Result:
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
        with in_memory(volume), running([_replaced(part, places) for part in peer.command]) as process:
            cost = _until_quiet(output, process, lambda: _lines(output, peer) >= rows)
    except Failed:
        cost = Cost(float("inf"), float("inf"), 0)
    lines = _lines(output, peer)
    out = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    return Result("one file, plain JSON", program, size, cost, out_bytes=out, exact=lines == rows)


def _until_quiet(output: Path, process: subprocess.Popen[bytes], has_all: Callable[[], bool]) -> Cost:
    """Until the output has not grown for a while; the while does not count. Raises Failed where it ends."""
    began = changed = time.monotonic()
    used, size, is_quiet = 0.0, -1, False
    while time.monotonic() - changed < STALLED_SECONDS or size <= 0:
        time.sleep(0.05)
        if process.poll() is not None:
            raise Failed("it ended by itself")
        now = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        if now != size:
            size, changed, used, is_quiet = now, time.monotonic(), cpu_seconds(process.pid), False
        elif not is_quiet and time.monotonic() - changed > QUIET_SECONDS:
            is_quiet = True
            if has_all():
                break
        if time.monotonic() - began > LONGEST_SECONDS:
            break
    return Cost(changed - began, used, resident_bytes(process.pid))


def _lines(output: Path, peer: Peer) -> int:
    return sum(_count(path, peer.mark) for path in output.rglob("*") if path.is_file())


def _count(path: Path, mark: bytes) -> int:
    count, end = 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block = end + block
            count += block.count(mark)
            end = block[max(0, len(block) - len(mark) + 1) :]
    return count


def _replaced(text: str, places: dict[str, str]) -> str:
    for mark, value in places.items():
        text = text.replace(mark, value)
    return text

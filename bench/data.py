"""Log data from a fixed seed, made once into a folder and kept there for all cases of a run.

Blocks of about 32 MiB are made and repeated: no compressor used here looks back that far, so nothing is
easier for it than if every block were new.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from collector.generate.lines import Lines, LogType

SEED = 20261122
BLOCK_BYTES = 32 << 20
WORDS = (
    *("order", "batch", "commit", "offset", "shard", "retry", "timeout", "upstream", "replica", "partition"),
    *("customer", "invoice", "queue", "lease", "worker", "bucket", "object", "record", "span", "source"),
)
GENERATED: dict[str, LogType] = {"access": "nginx", "java": "java"}
PART_BYTES = 100
"""Where a long line is cut for `cri-partial`; a runtime cuts at 16 KiB, which access lines never reach."""
POD = "shop_orders-0_1c9a5b1e-0f6e-4c55-9a3d-6d2b7f6f0a11"
"""Of the kubelet's tree."""
STREAMS = ("stdout", "stdout", "stdout", "stdout", "stderr")
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE")
PATHS = (
    "api/v1/orders",
    "api/v1/users",
    "static/app",
    "search",
    "cart",
    "login",
    "healthz",
    "export/nightly",
)
AGENTS = (
    "curl/8.5.0",
    "kube-probe/1.31",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
)


def blocks(kind: str) -> Iterator[bytes]:
    """Blocks of whole lines, without end. `kind`: access, varied, java, json (the requests of `varied`), a
    length in bytes; `cri:` before it are the same lines as a container runtime writes them, `cri-partial:`
    with a tenth of them in two parts.
    """
    framed, _, kind = kind.rpartition(":")
    if framed:
        return _cri(blocks(kind), partial=framed == "cri-partial")
    if kind in GENERATED:
        return _generated(GENERATED[kind])
    return cycle([_requests(as_json=kind == "json") if kind in ("varied", "json") else _of_length(int(kind))])


def one_file(folder: Path, kind: str, size: int) -> Path:
    """A volume with one source of one file of about `size` bytes, whole lines; CRI in the kubelet's tree."""
    volume = folder / f"one-{kind.replace(':', '-')}-{size >> 20}"
    if not volume.exists():
        file = volume / POD / "main" / "0.log" if ":" in kind else source(volume, 0) / "app.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for part in pieces(kind, size, BLOCK_BYTES):
                out.write(part)
    return volume


def many_files(folder: Path, files: int, size: int, per_source: int) -> Path:
    """A volume of small files of access lines, `per_source` in each source."""
    volume = folder / f"many-{files}-{size}-{per_source}"
    if not volume.exists():
        for number, part in enumerate(pieces("access", files * size, size)):
            if number < files:
                folder = source(volume, number // per_source)
                (folder / f"task-{number % per_source:04d}.log").write_bytes(part)
    return volume


def as_one_file(volume: Path) -> Path:
    """A volume of one source whose one file holds what is in all files of `volume`."""
    whole = volume.with_name(f"{volume.name}-as-one")
    if not whole.exists():
        with (source(whole, 0) / "app.log").open("wb") as out:
            for file in sorted(volume.rglob("*.log")):
                out.write(file.read_bytes())
    return whole


def idle_sources(folder: Path, sources: int) -> Path:
    """A volume of sources with one file of one line each, as Jobs leave them that were not finished."""
    volume = folder / f"idle-{sources}"
    for number in range(sources) if not volume.exists() else ():
        (source(volume, number) / "app.log").write_bytes(b"one line of a Job that sleeps\n")
    volume.mkdir(exist_ok=True)
    return volume


def source(volume: Path, number: int) -> Path:
    folder = volume / f"shop_orders-{number}_10.244.0.7_10.0.0.1_node-1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pieces(kind: str, size: int, piece: int) -> Iterator[bytes]:
    """About `size` bytes in pieces of at most about `piece` bytes; each is whole lines."""
    rest = b""
    for block in blocks(kind):
        data, start = rest + block, 0
        while len(data) - start >= piece:
            end = data.rfind(b"\n", start, start + piece) + 1 or data.find(b"\n", start) + 1
            yield data[start:end]
            size -= end - start
            if size <= piece // 2:
                return
            start = end
        rest = data[start:]


def _generated(log_type: LogType) -> Iterator[bytes]:
    lines, first = Lines(log_type, seed=SEED), 0
    while True:
        count = lines.count_for(BLOCK_BYTES)
        yield lines.block(first, count, None)
        first += count


def _cri(plain: Iterator[bytes], *, partial: bool) -> Iterator[bytes]:
    """Times of nine digits without the zeros at their end, a fifth of the lines from stderr."""
    draw, at = random.Random(SEED), 0  # noqa: S311 - no secret
    for block in plain:
        lines = []
        for line in block.splitlines(keepends=True):
            at += draw.randrange(1, 20_000_000)
            seconds, nanoseconds = divmod(at, 10**9)
            moment = f"2026-11-22T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
            head = f"{moment}.{nanoseconds:09d}".rstrip("0") + f"Z {draw.choice(STREAMS)} "
            start = head.encode()
            if partial and len(line) > PART_BYTES and draw.random() < 0.1:
                lines.append(b"%bP %b\n" % (start, line[:PART_BYTES]))
                line = line[PART_BYTES:]  # noqa: PLW2901 - what is left of it
            lines.append(b"%bF %b" % (start, line))
        yield b"".join(lines)


def _requests(*, as_json: bool) -> bytes:
    """Requests in which hardly anything but the words repeats: access lines of about 190 bytes, or JSON."""
    draw, lines, size = random.Random(SEED), [], 0  # noqa: S311 - no secret
    while size < BLOCK_BYTES:
        address = ".".join(str(draw.randrange(1, 255)) for _ in range(4))
        hours, rest = divmod(len(lines) // 100, 3600)
        moment = f"{hours % 24:02d}:{rest // 60:02d}:{rest % 60:02d}"
        method, url = draw.choice(METHODS), f"/{draw.choice(PATHS)}/{draw.getrandbits(48):x}"
        status, length = draw.choice((200, 200, 200, 304, 404, 500)), draw.randrange(100, 99999)
        agent, took = draw.choice(AGENTS), f"{draw.random():.3f}"
        if as_json:
            lines.append(
                f'{{"time":"2026-11-22T{moment}Z","ip":"{address}","method":"{method}","url":"{url}",'
                f'"protocol":"HTTP/1.1","status":{status},"size":{length},"agent":"{agent}","took":{took}}}\n'
            )
        else:
            lines.append(
                f'{address} - - [22/Nov/2026:{moment} +0000] "{method} {url} HTTP/1.1" {status} {length} '
                f'"-" "{agent}" {took}\n'
            )
        size += len(lines[-1])
    return "".join(lines).encode()


def _of_length(length: int) -> bytes:
    """Lines of exactly so many bytes, line feed included: a time, a number, and words."""
    draw = random.Random(SEED)  # noqa: S311 - no secret
    text = " ".join(draw.choices(WORDS, k=1 << 18))
    lines = []
    for number in range(BLOCK_BYTES // length):
        seconds = f"{number // 60000 % 60:02d}:{number // 1000 % 60:02d}.{number % 1000:03d}"
        head = f"2026-11-22T09:{seconds}Z {number:08d} "
        at = draw.randrange(len(text) - length)
        lines.append((head + text[at : at + length])[: length - 1])
    return ("\n".join(lines) + "\n").encode()

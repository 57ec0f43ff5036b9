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
GENERATED: dict[str, LogType] = {"access": "nginx", "cri": "nginx", "java": "java", "json": "json"}
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
    """Blocks of whole lines, without end. `kind`: access, varied, java, json, cri, or a length in bytes."""
    if kind in GENERATED:
        return _generated(GENERATED[kind], is_cri=kind == "cri")
    return cycle([_varied() if kind == "varied" else _of_length(int(kind))])


def one_file(folder: Path, kind: str, size: int) -> Path:
    """A volume with one source of one file of about `size` bytes, whole lines."""
    volume = folder / f"one-{kind}-{size >> 20}"
    if not volume.exists():
        file = source(volume, 0) / "app.log"
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


def _generated(log_type: LogType, *, is_cri: bool) -> Iterator[bytes]:
    lines, first = Lines(log_type, seed=SEED), 0
    while True:
        count = lines.count_for(BLOCK_BYTES)
        block = lines.block(first, count, None)
        first += count
        if is_cri:
            block = b"".join(
                b"2026-01-01T00:%02d:%02d.%09dZ stdout F %b" % (*divmod(at // 1000 % 3600, 60), at, line)
                for at, line in enumerate(block.splitlines(keepends=True), first)
            )
        yield block


def _varied() -> bytes:
    """Access lines of about 190 bytes in which hardly anything but the words repeats."""
    draw, lines, size = random.Random(SEED), [], 0  # noqa: S311 - no secret
    while size < BLOCK_BYTES:
        address = ".".join(str(draw.randrange(1, 255)) for _ in range(4))
        hours, rest = divmod(len(lines) // 100, 3600)
        at = f"22/Nov/2026:{hours % 24:02d}:{rest // 60:02d}:{rest % 60:02d} +0000"
        asked = f"{draw.choice(METHODS)} /{draw.choice(PATHS)}/{draw.getrandbits(48):x} HTTP/1.1"
        answered = f"{draw.choice((200, 200, 200, 304, 404, 500))} {draw.randrange(100, 99999)}"
        lines.append(
            f'{address} - - [{at}] "{asked}" {answered} "-" "{draw.choice(AGENTS)}" {draw.random():.3f}\n'
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

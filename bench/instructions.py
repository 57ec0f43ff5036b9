"""Instructions per byte of log, counted by valgrind: the same on a quiet machine and on a loaded one.

    python -m bench.instructions

What is counted is what a shard does with bytes in memory: framing, columns, parsing, Parquet. Each call of
`getsid` is a mark at which callgrind writes what it has counted since the last one.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import data
from bench.line_features import CHAIN, COLUMNS, GENERAL, JSON_COLUMNS, START
from bench.process import ROOT, Failed
from collector.intake.frame import line_feeds
from collector.intake.framing import framing
from collector.model import BatchSettings, Evidence, FileId, Origin, ParseSettings, Take
from collector.rows.batch import Batch

BYTES = 1 << 20
MARK = "getsid"


def of_machine() -> str:
    """Other versions and machines have other counts."""
    parts = platform.machine(), f"Python {'.'.join(platform.python_version_tuple()[:2])}"
    return ", ".join([*parts, f"numpy {np.__version__}", f"pyarrow {pa.__version__}"])


def cases() -> dict[str, tuple[str, BatchSettings]]:
    """What kind of lines, and how they are collected."""

    def how(layout: str = "subpath", form: str = "parquet", **more: object) -> BatchSettings:
        return BatchSettings(layout, form, "zstd", 1 << 20, **more)  # type: ignore[arg-type]  # a format

    return {
        "parquet": ("varied", how()),
        "ndjson": ("varied", how(form="ndjson")),
        "multi-line": ("java", how(multiline=f"^{START}")),
        "CRI": ("cri:varied", how("kubelet", line_format="cri")),
        "regex, vectorised": ("varied", how(parse=ParseSettings(COLUMNS, regex=CHAIN))),
        "regex, not vectorised": ("varied", how(parse=ParseSettings(COLUMNS, regex=GENERAL))),
        "JSON lines": ("json", how(parse=ParseSettings(JSON_COLUMNS, json=True))),
    }


def encode(text: bytes, settings: BatchSettings) -> None:
    """Bytes of one file to an object, in one arena."""
    arena, file = np.frombuffer(text, np.uint8), FileId("shop_mill-x6nnw", "app.log", 0)
    with ThreadPoolExecutor(1) as pool:
        batch = Batch(settings, (), pool)
        lines = framing(settings)(
            arena, np.zeros(1, np.int64), np.array([len(arena)]), np.array([True]), settings.max_line_bytes
        )
        evidence = Evidence(1, 2, 0, "", 0, "", "0" * 64)
        rows, feeds = len(lines.starts), int(line_feeds(lines)[0])
        origin = Origin("shop_mill-x6nnw")
        take = Take(file, "app.log", origin, 0, 0, int(lines.consumed[0]), rows, feeds, True, evidence)
        batch.add(arena, lines, [take], 0)
        batch.seal().body.result()


def count() -> None:
    """The counted process: each case twice, for what is made once is made the first time."""
    wanted = cases()
    texts = {kind: (Path(sys.argv[2]) / kind).read_bytes() for kind, _ in wanted.values()}
    for kind, settings in wanted.values():
        encode(texts[kind], settings)
        os.getsid(0)
        encode(texts[kind], settings)
        os.getsid(0)


def per_byte(folder: Path) -> dict[str, float]:
    """Instructions for a byte of each case; raises Failed where valgrind fails."""
    sizes = {}
    for kind, _ in cases().values():
        text = next(data.pieces(kind, BYTES, BYTES))
        sizes[kind] = len(text)
        (folder / kind).write_bytes(text)
    out = folder / "counts"
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--dump-before={MARK}"]
    done = subprocess.run(
        [*valgrind, sys.executable, "-m", "bench.instructions", "count", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"valgrind ended with {done.returncode}: {done.stderr[-500:]}")
    totals = list(_totals(out))
    return {name: totals[2 * at + 1] / sizes[kind] for at, (name, (kind, _)) in enumerate(cases().items())}


def _totals(out: Path) -> Iterator[int]:
    """Of each part that was written at a mark, in order."""
    for number in range(1, 2 * len(cases()) + 1):
        lines = out.with_name(f"{out.name}.{number}").read_text().splitlines()
        yield next(int(line.split()[1]) for line in lines if line.startswith(("totals:", "summary:")))


def counted() -> dict[str, float] | None:
    """None where there is no valgrind."""
    if shutil.which("valgrind") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="joblog-bench-") as folder:
        return per_byte(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["count"]:
        count()
    else:
        sys.stdout.write("".join(f"{name}: {value:.1f}\n" for name, value in (counted() or {}).items()))

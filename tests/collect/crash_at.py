"""A collector that kills itself at a named point: `python crash_at.py POINT ARGUMENTS…`.

A point is a stage of `STAGES`, before or after it: `object put: after`. The process dies there by SIGKILL,
with all its threads, as it would by `kill -9` in that moment.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable

from collector.cli import main
from collector.finish import Finisher
from collector.intake.read import Reader
from collector.intake.scan import Scanner
from collector.receipts import ReceiptWriter
from collector.rows.batch import Batch
from collector.sink.ledger import Ledger
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder

STAGES: dict[str, tuple[type, str]] = {
    "shard taken": (Ledger, "take"),
    "state compacted": (StateFolder, "compact"),
    "volume scanned": (Scanner, "scan"),
    "arena filled": (Reader, "fill"),
    "arena framed": (Reader, "frame"),
    "offsets moved": (Reader, "take"),
    "rows batched": (Batch, "add"),
    "batch sealed": (Batch, "seal"),
    "record claimed": (Ledger, "claim"),
    "object put": (Ledger, "put_object"),
    "commit noted": (Checkpoint, "completed"),
    "receipt put": (ReceiptWriter, "put"),
    "receipt noted": (Finisher, "_announce"),
}
POINTS = [f"{stage}: {when}" for stage in STAGES for when in ("before", "after")]


def arm(point: str) -> None:
    stage, when = point.split(": ")
    owner, name = STAGES[stage]
    real: Callable[..., object] = getattr(owner, name)

    @functools.wraps(real)
    def dies(*args: object, **settings: object) -> None:
        if when == "after":
            real(*args, **settings)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dies)


if __name__ == "__main__":
    arm(sys.argv[1])
    sys.exit(main(sys.argv[2:]))

"""Files that stay in memory while something is timed that reads them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

LOCKED = 0x2000
"""MAP_LOCKED of Linux, for which the library has no name."""


@contextmanager
def in_memory(volume: Path) -> Iterator[None]:
    """The log files below `volume` are read, and locked into the system's cache; nothing is on its way to the
    disk any more when this begins.

    To read them first is not enough: some systems take back within seconds, also while a run is being timed,
    what was not read for a while. Who may not lock so much (RLIMIT_MEMLOCK) has them read once.
    """
    os.sync()
    with ExitStack() as stack:
        for path in volume.rglob("*.log"):
            with path.open("rb", buffering=0) as file:
                if not os.fstat(file.fileno()).st_size:
                    continue
                try:
                    locked = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED | LOCKED, mmap.PROT_READ)
                except OSError:
                    while file.read(1 << 23):
                        pass
                else:
                    stack.enter_context(locked)
        yield

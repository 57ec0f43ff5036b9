"""How the bytes of a volume become rows: by the settings of its batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from collector.intake.cri import frame_cri
from collector.intake.frame import frame
from collector.intake.multiline import join_lines
from collector.intake.starts import starts_of
from collector.model import BatchSettings, Lines

Positions = NDArray[np.int64]
Frame = Callable[[NDArray[np.uint8], Positions, Positions, NDArray[np.bool_], int], Lines]


def framing(settings: BatchSettings) -> Frame:
    """The function that frames reads, as `frame` does. Raises UsageError for a pattern that is none."""
    if settings.line_format == "cri":
        return frame_cri
    if settings.multiline is None:
        return frame
    starts = starts_of(settings.multiline)

    def frame_records(
        arena: NDArray[np.uint8], at: Positions, lengths: Positions, final: NDArray[np.bool_], limit: int
    ) -> Lines:
        lines = frame(arena, at, lengths, final, limit)
        return join_lines(arena, at, final, lines, starts=starts, max_line_bytes=limit)

    return frame_records

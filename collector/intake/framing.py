"""How the bytes of a volume become rows: by the settings of its batches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from collector.intake.cri import frame_cri
from collector.intake.frame import frame
from collector.intake.multiline import join_lines
from collector.intake.starts import starts_of
from collector.model import BatchSettings, Lines

Positions = NDArray[np.int64]


class Frame(Protocol):
    """Frames reads, as `frame` does."""

    def __call__(
        self,
        arena: NDArray[np.uint8],
        at: Positions,
        lengths: Positions,
        final: NDArray[np.bool_],
        max_line_bytes: int,
        *,
        found: Positions | None = None,
    ) -> Lines: ...


def framing(settings: BatchSettings) -> Frame:
    """How reads are framed. Raises UsageError for a pattern that is none."""
    if settings.line_format == "cri":
        return frame_cri
    if settings.multiline is None:
        return frame
    starts = starts_of(settings.multiline)

    def frame_records(
        arena: NDArray[np.uint8],
        at: Positions,
        lengths: Positions,
        final: NDArray[np.bool_],
        max_line_bytes: int,
        *,
        found: Positions | None = None,
    ) -> Lines:
        lines = frame(arena, at, lengths, final, max_line_bytes, found=found)
        return join_lines(arena, at, final, lines, starts=starts, max_line_bytes=max_line_bytes)

    return frame_records

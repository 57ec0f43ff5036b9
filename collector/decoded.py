"""What decoding found in the lines of an arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What decoding found, one element a row. `at` is where in the arena the first byte of the row's first
    line lies. `text` is what `starts` and `ends` of the lines point into, with the line feed behind each row
    that has one; None: the arena. `time_us` are microseconds since the epoch, and `stream` 0 for stdout and 1
    for stderr; both mean nothing where `malformed`.
    """

    at: NDArray[np.int64]
    text: NDArray[np.uint8] | None
    time_us: NDArray[np.int64]
    stream: NDArray[np.int8]
    malformed: NDArray[np.bool_]

"""Sparse files: a hole is no line and no loss. It is found with SEEK_DATA, however large it is.

The hole that a file ends in is not read over: the file counts as ending where its data ends, so that
what a writer puts there later is still in front of the offset.
"""

from __future__ import annotations

import errno
import os

SAMPLE_BYTES = 4096
BLOCK_BYTES = 512  # st_blocks counts these, whatever the file system's own block is: stat(2)


def is_sparse(status: os.stat_result) -> bool:
    """Whether the file may have holes: it occupies less than its size. So does a compressed one."""
    return status.st_blocks * BLOCK_BYTES < status.st_size


def next_data(descriptor: int, start: int, size: int) -> tuple[int, int]:
    """The next stretch [from, to) of data in a sparse file; (size, size) where nothing but a hole follows.

    A hole is believed only if it reads as zeros: some file systems have reported data that was not yet on
    disk as a hole. Raises OSError.
    """
    try:
        data = min(size, os.lseek(descriptor, start, os.SEEK_DATA))
    except OSError as error:
        if error.errno != errno.ENXIO:
            return start, size  # no such question here: everything is data
        data = size
    if data > start:
        is_hole = not os.pread(descriptor, min(SAMPLE_BYTES, data - start), start).strip(b"\0")
        return (data if is_hole else start), size
    return start, min(size, os.lseek(descriptor, start, os.SEEK_HOLE))

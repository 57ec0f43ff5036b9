"""Writing large files past the page cache, where the file system can.

An object is written once, made durable at once, and nobody here reads it again. Through the cache, each of
its pages would be taken, copied to, and then lie there in place of the logs that are still to be read.
"""

from __future__ import annotations

import errno
import fcntl
import os

DIRECT_FROM_BYTES = 1 << 20

ALIGNED_BYTES = 4096
"""What open(2) asks of place, length and memory, or a multiple of it; who asks for more refuses (EINVAL)."""


def write_whole(descriptor: int, body: memoryview) -> None:
    """Writes into a file that is empty. To make it durable is for the caller."""
    rest = body
    if len(body) >= DIRECT_FROM_BYTES and _set_direct(descriptor, wanted=True):
        rest = _written_directly(descriptor, body)
        _set_direct(descriptor, wanted=False)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _written_directly(descriptor: int, rest: memoryview) -> memoryview:
    """What is left: less than is aligned, or all where the memory or the file system is not made for this."""
    try:
        while whole := len(rest) // ALIGNED_BYTES * ALIGNED_BYTES:
            written = os.write(descriptor, rest[:whole])
            rest = rest[written:]
            if written % ALIGNED_BYTES:
                break
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return rest


def _set_direct(descriptor: int, *, wanted: bool) -> bool:
    """False where it cannot be."""
    direct = getattr(os, "O_DIRECT", 0)
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | direct if wanted else flags & ~direct)
    except OSError:
        return False
    return bool(direct)

"""Compares the files of a volume with what was proven to be in the destination.

A span's hash was proven to be that of the rows; so the same range of the file must have it too.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from xxhash import xxh3_128

from collector.model import FileId, Span
from collector.query.files import FileProof
from collector.query.intervals import Range
from collector.query.report import Difference, Kind
from collector.value import value

BLOCK_BYTES = 1 << 20
HEAD_BYTES = 1024
HEAD_HASH_DIGITS = 32

_VANISHED = frozenset({errno.ENOENT, errno.ESTALE})


@value
class VolumeFile:
    """One file as it is now. `name` is its encoded name below the source; `open` gives a descriptor."""

    source: str
    name: str
    size: int
    open: Callable[[], int]


@value
class VolumeTree:
    """The files of one volume that a collector would collect. `volume` is its name in the export."""

    volume: str
    files: Iterable[VolumeFile]


@dataclass(slots=True)
class Compared:
    """How many files and how many of their bytes are in both; how many bytes were not collected yet."""

    files: int = 0
    bytes: int = 0
    uncollected_bytes: int = 0
    vanished: int = 0


@value
class _Known:
    """A file of the destination, with its spans in order of their offsets: at least one."""

    file: FileId
    proof: FileProof
    spans: tuple[Span, ...]


Fault = tuple[Range, str]


def compare(
    tree: VolumeTree, files: Mapping[FileId, FileProof], found: Callable[[Difference], None]
) -> Compared:
    """Compares each file of the tree with the one of `files` that it is, and reports what differs.

    Bytes behind what is collected of a file are only counted, for it may still grow; so is a file
    that vanishes meanwhile.
    """
    comparison = _Comparison(tree.volume, files, found)
    for file in tree.files:
        comparison.file(file)
    comparison.tell_faults()
    return comparison.compared


class _Comparison:
    def __init__(
        self, volume: str, files: Mapping[FileId, FileProof], found: Callable[[Difference], None]
    ) -> None:
        self.compared = Compared()
        self._volume = volume
        self._found = found
        self._faulty: list[tuple[VolumeFile, _Known, list[Fault]]] = []
        self._whole: set[FileId] = set()
        self._by_source: dict[str, list[_Known]] = defaultdict(list)
        self._by_name: dict[tuple[str, str], list[_Known]] = defaultdict(list)
        for file, proof in files.items():
            if proof.known:
                spans = tuple(sorted(proof.known, key=lambda span: span.start))
                known = _Known(file, proof, spans)
                self._by_source[file.source].append(known)
                for name in {file.path, spans[-1].name}:
                    self._by_name[file.source, name].append(known)

    def file(self, file: VolumeFile) -> None:
        try:
            descriptor = file.open()
            try:
                self._opened(file, descriptor)
            finally:
                with suppress(OSError):  # a network file system says here that it vanished (ESTALE)
                    os.close(descriptor)
        except OSError as error:
            if error.errno in _VANISHED:
                self.compared.vanished += 1
            else:
                self._report("volume", file, None, None, f"cannot be read: {error.strerror}")

    def _opened(self, file: VolumeFile, descriptor: int) -> None:
        self.compared.files += 1
        best = _best(
            (known, _faults(file, descriptor, known)) for known in self._candidates(file, descriptor)
        )
        if best is None:
            if file.size and not _is_hole(descriptor, 0, file.size):
                self._report("gap", file, None, (0, file.size), "is on the volume, but in no record")
            return
        known, faults = best
        if faults:
            self._faulty.append((file, known, faults))
        else:
            self._whole.add(known.file)
        _excuse_holes(descriptor, known.proof)
        if not _is_hole(descriptor, known.proof.required, file.size):
            self.compared.uncollected_bytes += max(0, file.size - known.proof.required)
        self.compared.bytes += 0 if faults else known.proof.collected.size

    def tell_faults(self) -> None:
        """Reports what differs, once all files were compared: a copytruncate leaves a copy that has all the
        bytes, and under the old name a file that begins anew.
        """
        for file, known, faults in self._faulty:
            if known.file not in self._whole:
                for place, what in faults:
                    self._report("volume", file, known, place, what)
            elif file.size:
                self._report("gap", file, None, (0, file.size), "is on the volume, but in no record")

    def _candidates(self, file: VolumeFile, descriptor: int) -> Iterator[_Known]:
        """What the file may be, the likeliest first: the same beginning, then the same name. Those with both
        come first, so that one of very many files is not compared with all.
        """
        head = os.pread(descriptor, HEAD_BYTES, 0)

        def rank(known: _Known) -> tuple[bool, bool, bool, int]:
            last = known.spans[-1]
            named = last.name == file.name
            return _begins_with(head, last), named, known.file.path == file.name, known.file.generation

        def ranked(some: Iterable[_Known]) -> Iterator[_Known]:
            every = sorted(((rank(known), known) for known in some), key=_rank, reverse=True)
            return (known for (*likeness, _), known in every if any(likeness))

        named = self._by_name.get((file.source, file.name), ())
        yield from ranked(known for known in named if _begins_with(head, known.spans[-1]))
        yield from ranked(self._by_source.get(file.source, ()))

    def _report(
        self, kind: Kind, file: VolumeFile, known: _Known | None, place: Range | None, what: str
    ) -> None:
        path, generation = (known.file.path, known.file.generation) if known else (file.name, None)
        detail = what if path == file.name else f"{what} (its name is now {file.name})"
        start, end = place or (None, None)
        where = (self._volume, file.source, path, generation, start, end)
        self._found(Difference(kind, detail, *where))


def _rank(ranked: tuple[tuple[bool, bool, bool, int], _Known]) -> tuple[bool, bool, bool, int]:
    return ranked[0]


def _best(tried: Iterable[tuple[_Known, list[Fault]]]) -> tuple[_Known, list[Fault]] | None:
    """The first without faults, else the first, if there is any."""
    rest = iter(tried)
    first = next(rest, None)
    return first and next((each for each in chain([first], rest) if not each[1]), first)


def _begins_with(head: bytes, span: Span) -> bool:
    evidence = span.evidence
    if len(head) < evidence.head_bytes:
        return False
    digest = hashlib.sha256(head[: evidence.head_bytes]).hexdigest()
    return digest[:HEAD_HASH_DIGITS] == evidence.head_hash


def _faults(file: VolumeFile, descriptor: int, known: _Known) -> list[Fault]:
    faults: list[Fault] = []
    for span in known.spans:
        if span.end > file.size:
            beyond = (max(span.start, file.size), span.end)
            faults.append((beyond, "is in the destination, but the file is shorter"))
        elif _xxh3_128(descriptor, span.start, span.end) != span.xxh3_128:
            faults.append(((span.start, span.end), "the file has other bytes than the destination"))
    return faults


def _excuse_holes(descriptor: int, proof: FileProof) -> None:
    """A gap that reads as zeros in the file is a hole, also where no receipt lists it yet."""
    for start, end in list(proof.gaps()):
        if _is_hole(descriptor, start, end):
            proof.excuse(start, end)


def _is_hole(descriptor: int, start: int, end: int) -> bool:
    """Whether [start, end) of the file reads as zeros. Holes are found, not read: they may be huge."""
    while start < end:
        try:
            start = os.lseek(descriptor, start, os.SEEK_DATA)
            data_end = min(end, os.lseek(descriptor, start, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:
                return True  # no data follows
            data_end = end  # no such question here: everything is data
        if any(block.count(0) != len(block) for block in _blocks(descriptor, start, data_end)):
            return False
        start = data_end
    return True


def _blocks(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        block = os.pread(descriptor, min(BLOCK_BYTES, end - start), start)
        if not block:
            return
        start += len(block)
        yield block


def _xxh3_128(descriptor: int, start: int, end: int) -> str:
    digest = xxh3_128()
    for block in _blocks(descriptor, start, end):
        digest.update(block)
    return digest.hexdigest()

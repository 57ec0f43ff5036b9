"""How far each file of a shard is, by source: as its line of the checkpoint, while it does not change.

A shard may know a hundred thousand files, of which a few change. A line is a third of what its values
take, needs no reading at start and no writing anew for the next snapshot.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from collector.model import FileCheckpoint, FileId
from collector.state.file_line import decode_file, decode_plain, encode_file, plain_place

Key = tuple[str, int]
"""Path and generation."""


@dataclass(slots=True)
class _Lines:
    """The lines of a source of which no file changed since they were read: sorted, all of them plain."""

    lines: list[bytes] = field(default_factory=list)
    last: tuple[bytes, int] = (b"", -1)


_Known = dict[Key, FileCheckpoint | bytes]


class FileTable(Mapping[FileId, FileCheckpoint]):
    def __init__(self) -> None:
        self._by_source: dict[str, _Lines | _Known] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FileId]:
        return (at.file for source in list(self._by_source) for at in self.of(source))

    def __getitem__(self, file: FileId) -> FileCheckpoint:
        value = self._by_source.get(file.source) and self._known(file.source).get(
            (file.path, file.generation)
        )
        if not value:
            raise KeyError(file)
        return _value(value, file.source)

    def of(self, source: str) -> Iterator[FileCheckpoint]:
        """The source's files, in no particular order."""
        known = self._by_source.get(source, {})
        values = known.lines if isinstance(known, _Lines) else list(known.values())
        return (_value(value, source) for value in values)

    def put(self, at: FileCheckpoint) -> None:
        self._put(at.file, at)

    def drop(self, source: str) -> None:
        """Forgets the source's files."""
        known = self._by_source.pop(source, {})
        self._count -= len(known.lines) if isinstance(known, _Lines) else len(known)

    def lines(self, source: str) -> Iterator[bytes]:
        """The lines of the source's files, sorted by path and generation."""
        known = self._by_source.get(source, {})
        if isinstance(known, _Lines):
            yield from known.lines
            return
        for key in sorted(known):
            value = known[key]
            if not isinstance(value, bytes):
                line = encode_file(value)
                value = known[key] = line if plain_place(line) else value
                yield line
            else:
                yield value

    def load(self, line: bytes, place: str, sources: Container[str]) -> bool:
        """Takes in a line whose checksum is right. False where it is not of one of `sources`, or there is one
        of the same file. Raises StateDamaged with `place`.
        """
        plain = plain_place(line)
        if plain is not None and plain[0].decode() in sources and self._append(line, *plain):
            return True
        at = decode_file(line, place)
        file = at.file
        if file.source not in sources or (file.path, file.generation) in self._known(file.source):
            return False
        self._put(file, at if plain is None else line)
        return True

    def _append(self, line: bytes, source: bytes, path: bytes, generation: int) -> bool:
        """False where the line is not behind all others of its source."""
        known = self._by_source.setdefault(source.decode(), _Lines())
        if not isinstance(known, _Lines) or (path, generation) <= known.last:
            return False
        known.lines.append(line)
        known.last = path, generation
        self._count += 1
        return True

    def _put(self, file: FileId, value: FileCheckpoint | bytes) -> None:
        known, key = self._known(file.source), (file.path, file.generation)
        self._count += key not in known
        known[key] = value

    def _known(self, source: str) -> _Known:
        known = self._by_source.get(source)
        if isinstance(known, dict):
            return known
        unfolded: _Known = {}
        for line in known.lines if known else ():
            plain = plain_place(line)
            assert plain is not None  # noqa: S101 - no other lines are kept as lines
            unfolded[plain[1].decode(), plain[2]] = line
        self._by_source[source] = unfolded
        return unfolded


def _value(value: FileCheckpoint | bytes, source: str) -> FileCheckpoint:
    return decode_plain(value, source) if isinstance(value, bytes) else value

"""How far each file of a shard is, by source: packed, while it does not change.

A shard may know a hundred thousand files, of which a few change. Most sources have one file, and most were
read from a snapshot, in order: only where that is not so, files are found by their keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from collector.model import FileCheckpoint, FileId, ReceiptFile, SourceCheckpoint
from collector.state.file_line import TEXT, decode_file, encode_file, plain_fields
from collector.state.packed import line_of, pack, pack_line, place, receipt_file, unpack

Key = tuple[str, int]
"""Path and generation."""

_Value = FileCheckpoint | bytes
"""A file that fits is packed."""

_Known = dict[Key, _Value]
_PLAIN_TEXT = re.compile(TEXT)


class FileTable(Mapping[FileId, FileCheckpoint]):
    def __init__(self) -> None:
        self._by_source: dict[str, bytes | list[bytes] | _Known] = {}
        """The one file of a source; or several, sorted, as they were read; or by their keys."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FileId]:
        return (at.file for source in list(self._by_source) for at in self.of(source))

    def __getitem__(self, file: FileId) -> FileCheckpoint:
        at = self.find(file)
        if at is None:
            raise KeyError(file)
        return at

    def find(self, file: FileId) -> FileCheckpoint | None:
        """As `get`, which raises an error inside for each file that is not there."""
        held = self._by_source.get(file.source)
        if isinstance(held, bytes):
            return unpack(held, file.source) if place(held) == (file.path.encode(), file.generation) else None
        value = self._known(file.source).get((file.path, file.generation)) if held else None
        return None if value is None else _value(value, file.source)

    def of(self, source: str) -> Iterator[FileCheckpoint]:
        """The source's files, in no particular order."""
        return (_value(value, source) for value in self._values(source))

    def receipt_files(self, source: str) -> list[ReceiptFile]:
        """What a receipt says of the source's files, in no particular order."""
        return [
            receipt_file(value) if isinstance(value, bytes) else _receipt_file(value)
            for value in self._values(source)
        ]

    def put(self, at: FileCheckpoint) -> None:
        self._put(at.file, pack(at) or at)

    def drop(self, source: str) -> None:
        """Forgets the source's files."""
        self._count -= len(self._values(source))
        self._by_source.pop(source, None)

    def lines(self, source: str) -> Iterator[bytes]:
        """The lines of the source's files, sorted by path and generation."""
        held, name = self._by_source.get(source), source.encode()
        values = [held[key] for key in sorted(held)] if isinstance(held, dict) else self._values(source)
        is_plain = _PLAIN_TEXT.fullmatch(name) is not None
        for value in values:
            if is_plain and isinstance(value, bytes):
                yield line_of(value, name)
            else:
                yield encode_file(_value(value, source))

    def load(self, line: bytes, where: str, sources: Mapping[str, SourceCheckpoint]) -> bool:
        """Takes in a line whose checksum is right. False where it is not of one of `sources`, or there is one
        of the same file. Raises StateDamaged with the place `where` it stands.
        """
        fields = plain_fields(line)
        packed = pack_line(fields) if fields is not None else None
        if fields is not None and packed is not None:
            known = sources.get(fields[0].decode())
            if known is not None and self._append(known.source, packed):
                return True
        at = decode_file(line, where)
        file = at.file
        if file.source not in sources or (file.path, file.generation) in self._known(file.source):
            return False
        self._put(file, packed or pack(at) or at)
        return True

    def _append(self, source: str, packed: bytes) -> bool:
        """False where the file is not behind all others of its source."""
        held = self._by_source.get(source)
        if held is None:
            self._by_source[source] = packed
        elif isinstance(held, dict):
            return False
        else:
            files = [held] if isinstance(held, bytes) else held
            if place(files[-1]) >= place(packed):
                return False
            files.append(packed)
            self._by_source[source] = files
        self._count += 1
        return True

    def _put(self, file: FileId, value: _Value) -> None:
        held = self._by_source.get(file.source)
        if isinstance(value, bytes) and (
            held is None or (isinstance(held, bytes) and place(held) == place(value))
        ):
            self._by_source[file.source] = value
            self._count += held is None
            return
        known, key = self._known(file.source), (file.path, file.generation)
        self._count += key not in known
        known[key] = value

    def _values(self, source: str) -> list[_Value]:
        held = self._by_source.get(source)
        if held is None:
            return []
        return [held] if isinstance(held, bytes) else list(held.values() if isinstance(held, dict) else held)

    def _known(self, source: str) -> _Known:
        held = self._by_source.get(source)
        if isinstance(held, dict):
            return held
        unfolded: _Known = {}
        for packed in [held] if isinstance(held, bytes) else held or ():
            path, generation = place(packed)
            unfolded[path.decode(), generation] = packed
        self._by_source[source] = unfolded
        return unfolded


def _value(value: _Value, source: str) -> FileCheckpoint:
    return unpack(value, source) if isinstance(value, bytes) else value


def _receipt_file(at: FileCheckpoint) -> ReceiptFile:
    return ReceiptFile(
        path=at.file.path,
        generation=at.file.generation,
        bytes=at.bytes,
        lines=at.line_feeds + (1 if at.bytes and not at.terminated else 0),
        sha256=at.evidence.prefix_sha256,
        holes=at.holes,
    )

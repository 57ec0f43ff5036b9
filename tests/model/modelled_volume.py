"""A volume that others write to, and what the model knows of it: every content that ever stood in a file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from driven_collector import Site

SOURCES = {
    "shop_load-4xk2p_10.0.0.1_10.0.0.2_node-1": "shop_load-4xk2p_10.0.0.1_10.0.0.2_node-1",
    "stray 100%": "stray 100%25",
    ".": ".",
}
"""Raw directory names, and how the export spells them."""

LOGS = ("app.log", "worker.log", "sub/deep.log")
TOMBSTONE = "tombstone"
MARK = re.compile(rb"<[0-9]{6}>")

LINES = {
    "line": b"{} a line\n",
    "lines": b"{} the first\n{} the second\n{} the third\n",
    "half": b"{} half a line",
    "invalid": b"{} \xff\xfe\xc3( \x00 \r\n",
    "long": b"{} " + "ü".encode() * 1500 + b"\n",
    "empty": b"{}\n\n\n",
    "half long": b"{} " + b"x" * 2500,
    "many": b"".join(b"{} " + b"y" * 900 + b"\n" for _ in range(90)),
}
"""What is written; {} becomes a mark that is in no other place. "many" is more than a batch holds."""


@dataclass(eq=False)
class Content:
    """All that was written to a file since it was empty. `inodes` are those it stood in."""

    number: int
    data: bytearray = field(default_factory=bytearray)
    inodes: set[int] = field(default_factory=set)
    paths: set[tuple[str, str]] = field(default_factory=set)
    seen: int = 0
    """As far as the running collector certainly saw it: its length at the last look at its source."""
    linked: bool = False
    """Whether several names ever led to it at once."""
    excused: bool = False
    """Whether it can no longer be told from what stands in its inode now; see `Volume.looked_at`."""


@dataclass(eq=False)
class Copy:
    """A copytruncate in progress."""

    source: str
    original: str
    to: str
    content: Content
    begun: float
    strict: bool = True


class Volume:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.files: dict[str, dict[str, Content]] = {}
        """The contents by source and name."""
        self.ended: list[Content] = []
        """Contents that stand in no file any more."""
        self.copy: Copy | None = None
        self.copied: dict[bytes, int] = {}
        """Marks that stood in two files at once for so long, or so unlike a copytruncate, that they may be
        collected from both: how often they may be there.
        """
        self.buried: set[str] = set()
        """Sources with a tombstone."""
        self._marks = 0
        self._writes = 0
        self._contents = 0

    # --- what is there

    def names(self) -> list[tuple[str, str]]:
        return [(source, name) for source in sorted(self.files) for name in sorted(self.files[source])]

    def logs(self) -> list[tuple[str, str]]:
        """The files that a rotation would take."""
        taken = (*LOGS, "deep.log")
        return [(source, name) for source, name in self.names() if name in taken]

    def is_copying_to(self, source: str, name: str) -> bool:
        copy = self.copy
        return copy is not None and self.files[source][name] is copy.content

    def is_alone(self, source: str, name: str) -> bool:
        """Whether no other name leads to the file."""
        return list(self.files[source].values()).count(self.files[source][name]) == 1

    def standing(self) -> Iterator[tuple[str, Content]]:
        """Each content that is in a file, once, with its source."""
        for source, files in self.files.items():
            yield from ((source, content) for content in dict.fromkeys(files.values()))

    def unburied(self) -> list[str]:
        """The sources that could have a tombstone and have none."""
        return [source for source in sorted(self.files) if source not in self.buried and source != "."]

    def contents_of(self, encoded: str) -> list[Content]:
        return [content for source, content in self.standing() if SOURCES[source] == encoded]

    def finished(self, *, complete: bool = False) -> set[str]:
        """The sources, as the export spells them, that are taken for finished whatever the time."""
        there = [source for source, files in self.files.items() if files or source != "."]
        return {SOURCES[source] for source in there if complete or source in self.buried}

    def path(self, source: str, name: str) -> Path:
        return self.site.volume / source / name

    # --- what writers do

    def append(self, source: str, name: str, kind: str) -> None:
        path = self.path(source, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.files.setdefault(source, {}).get(name) or self._content(source, name)
        self._write(path, content, self._bytes(kind))
        self._disturb(content)  # a copy that lacks something cannot be known for sure

    def touch(self, source: str, name: str) -> None:
        if name not in self.files.get(source, {}):
            path = self.path(source, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path, self._content(source, name), b"")

    def rotate(self, source: str, name: str) -> None:
        """name.1 becomes name.2, name becomes name.1."""
        self._move(source, f"{name}.1", f"{name}.2")
        self._move(source, name, f"{name}.1")

    def rename(self, source: str, name: str, to: str) -> None:
        self._move(source, name, to)

    def delete(self, source: str, name: str) -> None:
        self.path(source, name).unlink()
        self._drop(source, name)

    def delete_source(self, source: str) -> None:
        for name in list(self.files[source]):
            self._drop(source, name)
        del self.files[source]
        self.buried.discard(source)
        if source == ".":
            for entry in self.site.volume.iterdir():
                if entry.name not in SOURCES:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        else:
            shutil.rmtree(self.site.volume / source)

    def truncate(self, source: str, name: str, kind: str | None) -> None:
        """Cuts the file to nothing in place, and writes it anew."""
        content = self._anew(source, name)
        path = self.path(source, name)
        os.truncate(path, 0)
        self._write(path, content, self._bytes(kind) if kind else b"")

    def replace(self, source: str, name: str, kind: str) -> None:
        """Another file is moved over the name."""
        self._drop(source, name)
        content = self._content(source, name)
        beside = self.site.root / "beside"
        self._write(beside, content, self._bytes(kind))
        beside.rename(self.path(source, name))

    def rewrite(self, source: str, name: str, kind: str) -> None:
        """The same content and more, in another file that is moved over the name. If it was collected under
        another name, which is gone, nothing says that this one goes on with it.
        """
        content = self.files[source][name]
        self._disturb(content)
        if content.linked:
            self._allow_twice(marks(bytes(content.data)))
        beside = self.site.root / "beside"
        beside.write_bytes(content.data)
        self._write(beside, content, self._bytes(kind))
        beside.rename(self.path(source, name))

    def link(self, source: str, name: str) -> None:
        to = f"{name}.link"
        if to not in self.files[source]:
            self._disturb(self.files[source][name])
            self.files[source][name].linked = True
            self.path(source, to).hardlink_to(self.path(source, name))
            self._name(source, to, self.files[source][name])

    def bury(self, source: str) -> None:
        """Writes the tombstone."""
        self.path(source, TOMBSTONE).write_bytes(b"0\n")
        self.buried.add(source)

    def copytruncate(self, source: str, name: str, kind: str | None) -> None:
        """name.1 becomes name.2, name is copied to name.1 and cut: all between two looks."""
        self._move(source, f"{name}.1", f"{name}.2")
        self._copy(source, name, f"{name}.1", None)
        self.truncate(source, name, kind)

    def begin_copy(self, source: str, name: str, part: float) -> None:
        """The first step of a copytruncate, with looks between it and the second."""
        self._move(source, f"{name}.1", f"{name}.2")
        size = int(len(self.files[source][name].data) * part)
        content = self._copy(source, name, f"{name}.1", size)
        self.copy = Copy(source, name, f"{name}.1", content, self.site.time.wall)

    def end_copy(self, kind: str | None) -> None:
        """The second step: what lacks in the copy, then the cut."""
        copy, self.copy = self.copy, None
        assert copy is not None
        files = self.files.get(copy.source, {})
        original = files.get(copy.original)
        goes_on = files.get(copy.to) is copy.content and original is not None
        goes_on = goes_on and original.data.startswith(copy.content.data)
        if goes_on:
            allowed = len(marks(bytes(copy.content.data)))
            rest = bytes(original.data[len(copy.content.data) :])
            self._write(self.path(copy.source, copy.to), copy.content, rest)
            if not copy.strict:
                self._allow_twice(marks(bytes(copy.content.data))[allowed:])
            self.truncate(copy.source, copy.original, kind)

    def loosen_copy(self) -> None:
        """What the copy in progress holds may be collected from both files: it is no quick copytruncate."""
        if self.copy and self.copy.strict:
            self.copy.strict = False
            self._allow_twice(marks(bytes(self.copy.content.data)))

    def _disturb(self, content: Content) -> None:
        """Something else happens to the original or the copy than a copytruncate does."""
        if self.copy:
            original = self.files.get(self.copy.source, {}).get(self.copy.original)
            if content in (self.copy.content, original):
                self.loosen_copy()

    def _allow_twice(self, twice: list[bytes]) -> None:
        for mark in twice:
            self.copied[mark] = self.copied.get(mark, 1) + 1

    # --- what the collector does, as far as the model must know

    def looked_at(self, sources: list[str]) -> None:
        """The collector looked at these sources just now, and nothing was written meanwhile.

        A content of which nothing was read is known by its inode alone; once a look finds there another one
        that is as long, the first is not to be told from it.
        """
        for source, content in self.standing():
            if SOURCES[source] in sources:
                content.seen = len(content.data)
                for ended in self.ended:
                    if ended.inodes & content.inodes and len(content.data) >= ended.seen:
                        ended.excused = True

    def forget_looks(self) -> None:
        """The collector that looked is gone, and what it knew and had not committed with it."""
        for content in self.ended:
            content.seen = 0
        for _, content in self.standing():
            content.seen = 0

    # --- inside

    def _bytes(self, kind: str) -> bytes:
        pieces = LINES[kind].split(b"{}")
        return pieces[0] + b"".join(self._mark() + piece for piece in pieces[1:])

    def _mark(self) -> bytes:
        self._marks += 1
        return b"<%06d>" % self._marks

    def _content(self, source: str, name: str) -> Content:
        self._contents += 1
        content = Content(self._contents)
        self._name(source, name, content)
        return content

    def _name(self, source: str, name: str, content: Content) -> None:
        self.files.setdefault(source, {})[name] = content
        content.paths.add((SOURCES[source], name))

    def _write(self, path: Path, content: Content, data: bytes) -> None:
        """Appends; every write moves the mtime, as on file systems with fine enough times."""
        with path.open("ab") as file:
            file.write(data)
        content.data += data
        self._writes += 1
        status = path.stat()
        os.utime(path, ns=(0, int(self.site.time.wall * 1e9) + self._writes))
        content.inodes.add(status.st_ino)

    def _move(self, source: str, name: str, to: str) -> None:
        files = self.files[source]
        content = files.get(name)
        if content is None or files.get(to) is content:
            return  # rename(2) of one link over another of the same file does nothing
        self._disturb(content)
        self.path(source, name).rename(self.path(source, to))
        if to in files:
            self._drop(source, to)
        del files[name]
        self._name(source, to, content)

    def _drop(self, source: str, name: str) -> None:
        """The name leads no more to its content."""
        self._disturb(self.files[source][name])
        content = self.files[source].pop(name)
        if content not in self.files[source].values():
            self.ended.append(content)

    def _anew(self, source: str, name: str) -> Content:
        """The file of that name, and of all links to it, holds nothing from now on."""
        old = self.files[source][name]
        self._disturb(old)
        links = [link for link, content in self.files[source].items() if content is old]
        content = self._content(source, name)
        for link in links:
            self._name(source, link, content)
        self.ended.append(old)
        return content

    def _copy(self, source: str, name: str, to: str, size: int | None) -> Content:
        original = self.files[source][name]
        data = bytes(original.data[:size])
        if to in self.files[source]:
            self.delete(source, to)
        content = self._content(source, to)
        content.paths |= original.paths  # once the original is cut, the copy goes on as it
        self._write(self.path(source, to), content, data)
        return content


def marks(data: bytes) -> list[bytes]:
    return MARK.findall(data)

"""A folder as destination: create-only by link(2), durable by fsync, on local and on network file systems.

An object is written to a temporary file of its own below `_joblog/tmp`, made durable, and linked to
its name. So a name is there with all of its bytes or not at all, after a crash at any instruction.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from operator import itemgetter
from pathlib import Path

from collector.errors import ObjectMissing, StoreDenied, StoreError, StoreMissing, StoreUnavailable
from collector.sink.direct import write_whole
from collector.sink.folder_sync import FolderSync, fsync_folder
from collector.sink.key import TEMPORARY, checked_key, is_key
from collector.sink.store import Entry

LEFTOVER_SECONDS = 24 * 60 * 60

_CAUSES: dict[int, tuple[type[StoreError], str]] = {
    errno.ENOSPC: (StoreUnavailable, "free some space, or enlarge the file system"),
    errno.EDQUOT: (StoreDenied, "the quota is used up: free some space, or raise it"),
    errno.EIO: (StoreUnavailable, "the disk or the network file system fails: see the kernel's log"),
    errno.EMFILE: (StoreUnavailable, "raise the limit of open files (ulimit -n), or lower limits.open_files"),
    errno.ENFILE: (StoreUnavailable, "this machine has too many open files: raise fs.file-max"),
    errno.ESTALE: (
        StoreUnavailable,
        "the network file system lost the file: see whether it must be remounted",
    ),
    errno.EROFS: (StoreDenied, "the file system is mounted read-only: mount it for writing"),
    errno.EACCES: (StoreDenied, "let the user that runs joblog read and write this folder"),
    errno.EPERM: (StoreDenied, "the folder must be writable, on a file system that can make hard links"),
    errno.ENOTSUP: (StoreDenied, "the destination must be on a file system that can make hard links"),
    errno.EXDEV: (StoreDenied, "all of the destination folder must be on one file system"),
    errno.ENOTDIR: (StoreDenied, "a file is where a folder is needed: move it away"),
    errno.EEXIST: (StoreDenied, "a file is where a folder is needed: move it away"),
    errno.ENAMETOOLONG: (
        StoreDenied,
        "the destination must be on a file system that takes names of 255 bytes",
    ),
}


class LocalStore:
    """Objects are the files below `root`, which `check` creates; without it, every call is StoreMissing.

    link(2) is always create-only, so `put_new` does the same after `note_unconditional`.
    """

    def __init__(self, root: Path, *, url: str) -> None:
        self._root = root
        self._url = url
        self._conditional = True
        self._durable: dict[str, FolderSync] = {}
        """The folders whose own names this process knows to be on disk."""
        self._before_keys = os.path.join(root, "")
        self._temporaries = self._before_keys + TEMPORARY.rstrip("/")
        self._temporary_names = map(f"{secrets.token_hex(12)}-{{}}".format, count())

    @property
    def url(self) -> str:
        return self._url

    @property
    def conditional(self) -> bool:
        return self._conditional

    def note_unconditional(self) -> None:
        self._conditional = False

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        target = self._before_keys + checked_key(key)
        try:
            sync = self._make_folder(os.path.dirname(target))
            won = not os.path.exists(target) and self._write_and_link(body, target)
            # Also where another one created it: it may have died before it could do this.
            sync()
        except OSError as error:
            raise self._told_of(error, "cannot write", target) from error
        return won

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with self._told("cannot read", path):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._require_root()
                raise ObjectMissing(f"{path}: no such object") from None

    def size_bytes(self, key: str) -> int | None:
        path = self._path(key)
        with self._told("cannot read", path):
            try:
                found = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        yield from self._walk(prefix[: prefix.rfind("/") + 1], prefix, after)

    def folders(self, prefix: str) -> Iterator[str]:
        """A folder without any object is none: an object store would not show it either."""
        for name, _ in self._read_folder(prefix):
            if name.endswith("/") and any(True for _ in self._walk(prefix + name, "", "")):
                yield name[:-1]

    def check(self) -> None:
        """Creates the folder where need be, and writes, links and removes a file in it."""
        temporaries = Path(self._temporaries)
        with self._told("cannot use", self._root):
            make_folders(self._root)
            self._make_folder(self._temporaries)
            probe = temporaries / next(self._temporary_names)
            write_temporary(str(probe), b"")
            second = probe.with_suffix(".link")
            try:
                second.hardlink_to(probe)
                remove_leftovers(temporaries, before=probe.stat().st_mtime - LEFTOVER_SECONDS)
            finally:
                second.unlink(missing_ok=True)
                probe.unlink()

    def close(self) -> None:
        """Holds nothing open."""

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _make_folder(self, folder: str) -> FolderSync:
        """Makes a folder below the root, and its name durable whoever made it, once a process. Returns what
        makes the names in it durable.
        """
        known = self._durable.get(folder)
        if known is not None:
            return known
        if folder == str(self._root):
            self._require_root()
        else:
            above = self._make_folder(os.path.dirname(folder))
            Path(folder).mkdir(exist_ok=True)
            above()
        return self._durable.setdefault(folder, FolderSync(folder))

    def _write_and_link(self, body: bytes | memoryview, target: str) -> bool:
        self._make_folder(self._temporaries)
        temporary = f"{self._temporaries}/{next(self._temporary_names)}"
        write_temporary(temporary, body)
        try:
            return link_new(temporary, target)
        finally:
            # The outcome stands, and must not be hidden; `check` removes what is left here.
            with suppress(OSError):
                os.unlink(temporary)

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[Entry]:
        """The objects below `folder` ("" or with "/" at its end) that `list` asks for, in key order."""
        for name, entry in self._read_folder(folder):
            key = folder + name
            if name.endswith("/"):
                if may_hold(key, prefix, after):
                    yield from self._walk(key, prefix, after)
            elif key.startswith(prefix) and key > after and is_key(key):
                yield from self._entry(key, entry)

    def _read_folder(self, folder: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        """Names in the order of the keys below them, folders with "/" at the end; empty if not there."""
        if folder and not is_key(folder[:-1]):
            return []
        path = self._root / folder
        with self._told("cannot list", path):
            try:
                with os.scandir(path) as entries:
                    named = [(entry.name + "/" * entry.is_dir(), entry) for entry in entries]
            except (FileNotFoundError, NotADirectoryError):
                self._require_root()
                return []
        return sorted(named, key=itemgetter(0))

    def _entry(self, key: str, entry: os.DirEntry[str]) -> Iterator[Entry]:
        with self._told("cannot list", self._root / key):
            try:
                found = entry.stat()
            except FileNotFoundError:  # removed since the folder was read
                return
        if stat.S_ISREG(found.st_mode):
            yield Entry(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise StoreMissing(
                f"{self._root}: there is no such destination folder",
                hint="create it, or see whether its file system is mounted",
            )

    @contextmanager
    def _told(self, doing: str, path: Path) -> Iterator[None]:
        """Translates what the file system says about `path`."""
        try:
            yield
        except OSError as error:
            raise self._told_of(error, doing, path) from error

    def _told_of(self, error: OSError, doing: str, path: Path | str) -> StoreError:
        if isinstance(error, FileNotFoundError):
            self._durable.clear()  # a folder was removed: the next try makes it again, if it may
        return store_error(error, doing, path)


def store_error(error: OSError, doing: str, path: Path | str) -> StoreError:
    kind, hint = _CAUSES.get(error.errno or 0, (StoreUnavailable, ""))
    return kind(f"{doing} {path}: {error.strerror or error}", hint=hint)


def may_hold(folder: str, prefix: str, after: str) -> bool:
    """Whether a key below `folder`, which ends in "/", can be one that `list` gives."""
    if folder == TEMPORARY:
        return False
    if not folder.startswith(prefix) and not prefix.startswith(folder):
        return False
    return folder > after or after.startswith(folder)


def write_temporary(path: str, body: bytes | memoryview) -> None:
    """Makes a file with this content, on disk; mode 0644 without the umask. Nothing is left of a failure."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        write_whole(descriptor, memoryview(body).cast("B"))
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):  # the first error tells more
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def link_new(temporary: str | Path, target: str | Path) -> bool:
    """Links a file to a name that is not there; False if it is.

    On NFS a link whose answer was lost is sent again, and then fails although it succeeded (open(2),
    under O_EXCL). So the file itself decides, not what the call said.
    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if is_linked(temporary):
            return True
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def is_linked(temporary: str | Path) -> bool:
    """Whether the file has a second name. Opening it makes NFS ask the server, not its cache."""
    with open(temporary, "rb") as file:
        return os.fstat(file.fileno()).st_nlink > 1


def make_folders(folder: Path) -> None:
    """Makes a folder and the missing ones above it, and their names durable."""
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def remove_leftovers(temporaries: Path, *, before: float) -> None:
    """Removes temporary files last written before this time (of the file system's clock, in seconds)."""
    for path in temporaries.iterdir():
        with suppress(FileNotFoundError):  # another collector checks at the same time
            if path.stat().st_mtime < before:
                path.unlink()

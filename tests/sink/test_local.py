"""The folder as destination: crashes, full and broken file systems, and what readers see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import StoreDenied, StoreMissing, StoreUnavailable
from collector.sink.local import LocalStore, is_linked, link_new, may_hold

DAY = 24 * 60 * 60
KEY = "data/date=2026-11-22/hour=09/vol-000-000000000001.parquet"


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def store(root):
    store = LocalStore(root, url=str(root))
    store.check()
    return store


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class TestPut:
    @pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o644)])
    def test_modes(self, root, umask, mode):
        """Objects may be read by all, and are never executable or writable by others, less the umask."""
        before = os.umask(umask)
        try:
            store = LocalStore(root, url=str(root))
            store.check()
            store.put_new(KEY, b"x")
        finally:
            os.umask(before)
        assert (root / KEY).stat().st_mode & 0o777 == mode

    def test_readers_that_glob_see_objects_only(self, store, root):
        """Below `data` there are objects and nothing else, and no temporary file stays anywhere."""
        store.put_new(KEY, b"x")
        store.put_new(KEY, b"y")
        assert files_below(root) == [KEY]

    @pytest.mark.parametrize("moment", ["os.link", "os.remove"])
    def test_killed_before(self, root, moment):
        """A process that dies before it links, or before it removes its temporary file, leaves no harm.

        The key is there with all its bytes or not at all, the next process puts it or is told that it is
        there, no listing shows what was left, and a day later it is gone.
        """
        killed = put_in_process(root, KEY, 100_000, die_before=moment)
        assert killed.returncode == -signal.SIGKILL
        left = list((root / "_joblog/tmp").iterdir())
        assert len(left) == 1

        store = LocalStore(root, url=str(root))
        store.check()
        landed = moment == "os.remove"
        assert store.size_bytes(KEY) == (100_000 if landed else None)
        assert [entry.key for entry in store.list("")] == ([KEY] if landed else [])
        assert list(store.folders("")) == (["data"] if landed else [])
        assert list(store.folders("_joblog/")) == []
        assert store.put_new(KEY, b"x" * 100_000) is not landed
        assert store.get(KEY) == b"x" * 100_000

        assert left[0].exists()
        os.utime(left[0], (time.time() - DAY - 60,) * 2)
        store.check()
        assert files_below(root) == [KEY]
        assert store.get(KEY) == b"x" * 100_000

    def test_a_link_that_failed_although_it_succeeded(self, tmp_path):
        """If the name links to our own file, "it exists" is success: NFS says so when an answer was lost."""
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        ours.write_bytes(b"ours")
        theirs.write_bytes(b"theirs")
        (tmp_path / "key").hardlink_to(ours)
        assert is_linked(ours)
        assert link_new(ours, tmp_path / "key") is True
        assert not is_linked(theirs)
        assert link_new(theirs, tmp_path / "key") is False
        assert (tmp_path / "key").read_bytes() == b"ours"

    def test_a_folder_removed_meanwhile_is_made_again(self, store, root):
        """A removed folder below the destination costs one error that may be retried, not more."""
        store.put_new("data/hour=1/a", b"")
        shutil.rmtree(root / "data")
        with pytest.raises(StoreUnavailable):
            store.put_new("data/hour=1/b", b"")
        assert store.put_new("data/hour=1/b", b"")

    def test_a_file_where_a_folder_must_be(self, store, root):
        """Says which path is in the way, and to move it."""
        (root / "data").write_text("")
        with pytest.raises(StoreDenied, match="a file is where a folder is needed") as caught:
            store.put_new(KEY, b"")
        assert str(root / "data") in str(caught.value)


class TestCheck:
    def test_makes_the_folder(self, tmp_path):
        """The destination and all folders above it are made, and nothing is left of the trial."""
        root = tmp_path / "a/b/c"
        LocalStore(root, url="x").check()
        assert root.is_dir()
        assert files_below(root) == []

    def test_removes_old_leftovers_only(self, store, root):
        """Temporary files of the last day may belong to a living process and stay."""
        old, young = root / "_joblog/tmp/old", root / "_joblog/tmp/young"
        for path, age in ((old, DAY + 60), (young, DAY - 60)):
            path.write_text("")
            os.utime(path, (time.time() - age,) * 2)
        store.check()
        assert files_below(root) == ["_joblog/tmp/young"]

    @pytest.mark.parametrize("remove", [False, True])
    def test_without_the_folder_every_call_says_so(self, root, remove):
        """A destination that is not there, or not any more, is StoreMissing: not empty, not made by a put."""
        store = LocalStore(root, url=str(root))
        if remove:
            store.check()
            store.put_new(KEY, b"")
            shutil.rmtree(root)
        for call in (
            lambda: store.get(KEY),
            lambda: store.size_bytes(KEY),
            lambda: store.put_new(KEY, b""),
            lambda: list(store.list("data/")),
            lambda: list(store.folders("data/")),
        ):
            with pytest.raises((StoreMissing, StoreUnavailable)) as caught:
                call()
            assert str(root) in str(caught.value)
        with pytest.raises(StoreMissing, match="no such destination folder: create it"):
            store.put_new(KEY, b"")
        assert not root.exists()

    def test_a_file_is_no_destination(self, tmp_path):
        """A destination that is a file is named, with what to do."""
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreDenied, match="file is where a folder is needed"):
            LocalStore(tmp_path / "file", url="x").check()

    def test_a_folder_that_may_not_be_written(self, tmp_path):
        """Missing permissions are StoreDenied with the path and what to do."""
        (tmp_path / "locked").mkdir(mode=0o500)
        done = put_in_process(tmp_path / "locked", KEY, 1, before="if os.geteuid() == 0: os.seteuid(65534)")
        assert done.stdout.startswith("StoreDenied: cannot ")
        assert str(tmp_path / "locked") in done.stdout
        assert "let the user that runs joblog read and write" in done.stdout


class TestFileSystems:
    """Real file systems that are full or read-only, each in a mount namespace of its own."""

    @pytest.fixture(autouse=True)
    def mounts(self):
        if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
            pytest.skip("this system lets its users make no mount namespace")

    def test_full(self, tmp_path):
        """A full file system is StoreUnavailable with the path, and leaves no part of the object behind."""
        mount = f"mount -t tmpfs -o size=1m full {tmp_path}"
        done = put_in_process(tmp_path, KEY, 2_000_000, mount=mount, after="print(*os.walk('.'))")
        assert done.stdout.startswith(f"StoreUnavailable: cannot write {tmp_path / KEY}: No space left")
        assert "free some space" in done.stdout
        assert "('./_joblog/tmp', [], [])" in done.stdout

    def test_read_only(self, tmp_path):
        """A read-only file system is StoreDenied, and says so."""
        mount = f"mount -t tmpfs -o ro full {tmp_path}"
        done = put_in_process(tmp_path, KEY, 1, mount=mount)
        assert done.stdout.startswith("StoreDenied: cannot use ")
        assert "mounted read-only: mount it for writing" in done.stdout

    def test_two_file_systems(self, tmp_path):
        """A folder of the destination on another file system cannot be linked into: StoreDenied says so."""
        (tmp_path / "data").mkdir()
        done = put_in_process(tmp_path, KEY, 1, mount=f"mount -t tmpfs other {tmp_path}/data")
        assert done.stdout.startswith("StoreDenied: ")
        assert "must be on one file system" in done.stdout


class TestList:
    part = st.text("a-./", min_size=0, max_size=6)

    @settings(max_examples=60, deadline=None)
    @given(names=st.sets(st.text("ab-.é/", min_size=1, max_size=7)), prefix=part, after=part)
    def test_is_what_an_object_store_would_list(self, tmp_path_factory, names, prefix, after):
        """For any tree: the keys with the prefix, after `after`, ordered by their bytes."""
        root = tmp_path_factory.mktemp("tree")
        store = LocalStore(root, url="tree")
        there = {name for name in names if touch_where_possible(root, name)}
        expected = sorted((n for n in there if n.startswith(prefix) and n > after), key=str.encode)
        assert [entry.key for entry in store.list(prefix, after=after)] == expected

    def test_folders_before_after_are_not_read(self):
        """A folder is read only if a key below it can have the prefix and be greater than `after`."""
        assert not may_hold("data/date=1/", "data/", "data/date=2/x")
        assert may_hold("data/date=2/", "data/", "data/date=2/x")
        assert may_hold("data/date=3/", "data/", "data/date=2/x")
        assert may_hold("data/", "data/date=1/", "")
        assert not may_hold("_joblog/", "data/", "")
        assert not may_hold("_joblog/tmp/", "_joblog/", "")

    def test_what_is_no_object_is_not_listed(self, store, root):
        """Pipes, dangling links, empty folders and names that no key can have are left out."""
        store.put_new("data/a", b"")
        os.mkfifo(root / "data/pipe")
        (root / "data/dangling").symlink_to("nowhere")
        (root / "data/empty/empty").mkdir(parents=True)
        Path(os.fsdecode(os.fsencode(root) + b"/data/\xff")).write_text("")
        (root / "data/line\nfeed").write_text("")
        assert [entry.key for entry in store.list("")] == ["data/a"]
        assert list(store.folders("data/")) == []


def touch_where_possible(root: Path, name: str) -> bool:
    """Makes a file unless the name is no key, or a folder has it, or a file has that of a folder."""
    path = root / name
    if any(part in ("", ".", "..") for part in name.split("/")) or path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    path.write_text("")
    return True


def put_in_process(
    root: Path, key: str, size: int, *, before="", mount="true", after="", die_before=""
) -> subprocess.CompletedProcess[str]:
    """Checks and puts in a process of its own, which prints the error if there is one."""
    script = f"""
import os, signal, sys
from collector.errors import StoreError
from collector.sink.local import LocalStore
from pathlib import Path
root = Path(sys.argv[1])
os.chdir(root if root.exists() else root.parent)
{before}
try:
    store = LocalStore(root, url="x")
    store.check()
    if {die_before!r}:
        sys.addaudithook(lambda event, _: event == {die_before!r} and os.kill(os.getpid(), signal.SIGKILL))
    store.put_new(sys.argv[2], b"x" * {size})
except StoreError as error:
    print(type(error).__name__, error, sep=": ")
{after}
"""
    command = [sys.executable, "-c", script, str(root), key]
    if mount != "true":
        command = ["unshare", "-rm", "sh", "-ec", f'{mount}; exec "$@"', "sh", *command]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

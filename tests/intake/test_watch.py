"""Hints from a real file system, and doing without them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from collector.events import Event
from collector.intake.discover import Discovery
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.mounts import choose, file_system_type
from collector.intake.volume import Volume, close
from collector.intake.watch import REST_SECONDS, Hints, Watch

DEADLINE_SECONDS = 10.0


class Hinted:
    """A watch, and all hints that it ever gave."""

    def __init__(self, root: Path) -> None:
        self.woken, self.hurried = threading.Event(), threading.Event()
        self.events: list[Event] = []
        self.seen: set[str] = set()
        self.opened: dict[str, bytes] = {}
        """What was read of files through the descriptors that came with hints."""
        volume = Volume(root) if root.exists() else Volume(root.parent)
        discovery = Discovery(
            volume,
            Layout.parse("{namespace}_{pod}"),
            Selection(["**"], ["*.tmp"]),
            tombstone="tombstone",
            shard=0,
            shards=1,
        )
        volume.path = root
        self.watch = Watch(
            volume,
            "default",
            discovery,
            grew=self.woken.set,
            hurry=self._hurry,
            emit=self.events.append,
        )
        self.watch.enter(())

    def _hurry(self) -> None:
        self.hurried.set()
        self.woken.set()

    def take(self) -> Hints:
        hints = self.watch.take_hints()
        for directory, name in [*((at, "") for at in hints.entries), *hints.bytes]:
            self.seen.add((*directory, name)[0])
            self.seen.add("/".join((*directory, name)))
        for directory, name, descriptor in hints.opened:
            self.opened["/".join((*directory, name))] = os.pread(descriptor, 100, 0)
            close(descriptor)
        return hints

    def wait_for(self, name: str) -> None:
        """Waits until `name` was hinted at, and forgets it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while name not in self.seen:
            assert self.woken.wait(max(0, deadline - time.monotonic())), (
                f"no hint of {name!r} but of {self.seen}"
            )
            self.woken.clear()
            self.take()
        self.seen.discard(name)

    def forget(self) -> None:
        """Forgets all that came so far."""
        self.take()
        self.seen.clear()


@pytest.fixture
def hinted(root: Path):
    (root / "pod").mkdir()
    hinted = Hinted(root)
    yield hinted
    hinted.watch.close()


class Growing(Volume):
    """Whenever a directory is about to be listed, it gets another one in it."""

    def open_directory(self, parts: tuple[str, ...]) -> int:
        if 0 < len(parts) < 20:
            self.path.joinpath(*parts, "d").mkdir(exist_ok=True)
        return super().open_directory(parts)


class Counting:
    """Wants all directories, and no file."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, ...]] = Counter()

    def wants_file(self, directory: tuple[str, ...], name: str) -> bool:
        return False

    def wants_directory(self, directory: tuple[str, ...]) -> bool:
        self.asked[directory] += 1
        return True


def test_a_tree_that_grows_while_it_is_entered(root: Path):
    """Each of its directories is entered once: it shows in the one above it, and has an event of its own too.
    A deep tree in one source keeps nobody waiting.
    """
    woken, interest = threading.Event(), Counting()
    watch = Watch(Growing(root), "default", interest, grew=woken.set, hurry=woken.set, emit=print)
    (root / "d").mkdir()
    (root / "end").mkdir()
    deadline, seen = time.monotonic() + DEADLINE_SECONDS, set[tuple[str, ...]]()
    while not {("end",), ("d",) * 20} <= seen:
        assert woken.wait(max(0, deadline - time.monotonic())), seen
        woken.clear()
        seen.update(watch.take_hints().entries)
    (root / "last").mkdir()
    while ("last",) not in seen:
        assert woken.wait(max(0, deadline - time.monotonic())), seen
        woken.clear()
        seen.update(watch.take_hints().entries)
    watch.close()
    assert set(interest.asked.values()) == {1}


def test_creation_and_growth(root: Path, hinted: Hinted):
    """A hint names the directory below the root under which a file came or grew, at any depth."""
    with (root / "pod" / "app.log").open("wb", buffering=0) as file:
        hinted.wait_for("pod")
        file.write(b"one\n")
        hinted.wait_for("pod")
        file.write(b"two\n")
        hinted.wait_for("pod")
    assert hinted.events == []


def test_new_directories_are_watched_too(root: Path, hinted: Hinted):
    """A source that appears is hinted at, and so is what happens in it and below it later."""
    (root / "new" / "below").mkdir(parents=True)
    hinted.wait_for("new")
    hinted.wait_for("new/below/")
    hinted.forget()
    (root / "new" / "below" / "app.log").write_bytes(b"x\n")
    hinted.wait_for("new/below/app.log")
    (root / "new").rename(root / "moved")
    hinted.wait_for("moved/below/")
    hinted.forget()
    (root / "moved" / "below" / "app.log").write_bytes(b"y\n")
    hinted.wait_for("moved/below/app.log")


def test_moves_and_deletions(root: Path, hinted: Hinted):
    """A move names both ends; what goes away is hinted at as well."""
    (root / "other").mkdir()
    hinted.wait_for("other")
    (root / "pod" / "app.log").write_bytes(b"x\n")
    hinted.wait_for("pod")
    (root / "pod" / "app.log").rename(root / "pod" / "app.log.1")
    hinted.wait_for("pod")
    hinted.forget()
    (root / "pod" / "app.log.1").unlink()
    hinted.wait_for("pod")
    (root / "pod").rename(root / "moved")
    hinted.wait_for("moved")


def test_files_in_the_root(root: Path, hinted: Hinted):
    """Their own name is the hint."""
    (root / "stray.log").write_bytes(b"x\n")
    hinted.wait_for("stray.log")


def test_names_that_are_not_utf_8(root: Path, hinted: Hinted):
    """Hints are raw names, as the functions of `os` take them."""
    name = os.fsdecode(b"caf\xe9\n")
    (root / name).mkdir()
    hinted.wait_for(name)


def test_reading_makes_no_hints(root: Path, hinted: Hinted):
    """What the collector itself does wakes nobody."""
    log = root / "pod" / "app.log"
    log.write_bytes(b"x\n")
    hinted.wait_for("pod")
    (root / "before").mkdir()
    hinted.wait_for("before")
    hinted.forget()
    for _ in range(3):
        assert log.read_bytes() == b"x\n"
        assert list((root / "pod").iterdir()) == [log]
    (root / "after").mkdir()
    hinted.wait_for("after")
    assert "pod" not in hinted.seen


def test_what_is_created_is_opened_at_once(root: Path, hinted: Hinted):
    """A new file can be read through a descriptor, whatever becomes of it: in a directory that was there, and
    in one that is new as well. Others are not opened: links, tombstones, excluded ones.
    """
    (root / "pod" / "tombstone").touch()
    (root / "pod" / "scratch.tmp").touch()
    (root / "pod" / "link.log").symlink_to("/etc/passwd")
    (root / "pod" / "app.log").write_bytes(b"one\n")
    hinted.wait_for("pod/")
    (root / "new").mkdir()
    hinted.wait_for("new/")
    with (root / "new" / "app.log").open("wb", buffering=0) as file:
        while "new/app.log" not in hinted.opened:
            assert hinted.woken.wait(DEADLINE_SECONDS)
            hinted.woken.clear()
            hinted.take()
        file.write(b"two\n")
    hinted.wait_for("new/app.log")
    assert set(hinted.opened) == {"pod/app.log", "new/app.log"}


def test_growth_may_wait_and_first_bytes_may_not(root: Path, hinted: Hinted):
    """Whoever listens may gather growth for a moment; a new file, its first bytes and its end are urgent."""
    with (root / "pod" / "app.log").open("wb", buffering=0) as file:
        hinted.wait_for("pod/")
        assert hinted.hurried.wait(DEADLINE_SECONDS)
        hinted.hurried.clear()
        file.write(b"one\n")
        assert hinted.hurried.wait(DEADLINE_SECONDS)
        hinted.wait_for("pod/app.log")
        hinted.hurried.clear()
        file.write(b"two\n")
        hinted.wait_for("pod/app.log")
        assert not hinted.hurried.is_set()
    (root / "pod" / "app.log").unlink()
    assert hinted.hurried.wait(DEADLINE_SECONDS)


def test_an_overflow_is_told(root: Path, hinted: Hinted):
    """More events than the kernel keeps: whoever takes hints knows that they are not all."""
    hinted.watch.on_queue_overflow()
    assert hinted.hurried.is_set()
    assert hinted.take().overflowed
    assert not hinted.take().overflowed


def test_hints_from_many_events_at_once(root: Path, hinted: Hinted):
    """Hints are taken while others come in: none is lost."""
    names = {f"pod-{number}" for number in range(300)}
    writer = threading.Thread(target=lambda: [(root / name).mkdir() for name in sorted(names)])
    writer.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not names <= hinted.seen:
        assert time.monotonic() < deadline
        hinted.take()
    writer.join()


def test_closed_cleanly(root: Path, hinted: Hinted):
    """Closing ends what calls back: nothing is hinted at and nobody woken afterwards. Twice does no harm."""
    hinted.watch.close()
    hinted.forget()
    hinted.woken.clear()
    (root / "late").mkdir()
    after = Hinted(root)
    (root / "later").mkdir()
    after.wait_for("later")
    after.watch.close()
    assert hinted.watch.take_hints() == Hints()
    assert not hinted.woken.is_set()
    hinted.watch.close()


LIMITED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_watch import Hinted

    hinted = Hinted(Path(sys.argv[1]))
    print(hinted.watch.watched, hinted.watch.is_whole)
    hinted.watch.close()
    for event in hinted.events:
        print(event.name, event.why)
    """
)


def watch_within(root: Path, limit: str, allowed: int) -> list[str]:
    """Watches with only so many inotify instances or watches; returns what was told, a line each."""
    namespace = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "test", "-w", f"/proc/sys/user/{limit}"], check=False).returncode:
        pytest.skip("a user namespace with limits of its own cannot be made here")
    script = f'echo {allowed} > /proc/sys/user/{limit} && exec "$@"'
    command = [
        *namespace,
        "sh",
        "-c",
        script,
        "sh",
        sys.executable,
        "-c",
        LIMITED,
        str(root),
        str(Path(__file__).parent),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("limit", "setting"),
    [("max_inotify_instances", "max_user_instances"), ("max_inotify_watches", "max_user_watches")],
)
def test_the_limit_of_inotify_is_no_error(root: Path, limit: str, setting: str):
    """Without any instance or watch left, a warning says so and what to raise, and polling serves."""
    watched, line = watch_within(root, limit, 0)
    assert watched == "0 False"
    assert line.startswith("watch_limited")
    assert "polling" in line
    assert f"fs.inotify.{setting}" in line


def test_fewer_watches_than_directories(root: Path):
    """Those that can be watched are; polling serves the rest, and nothing fails: one warning says so."""
    for number in range(20):
        (root / f"pod-{number}").mkdir()
    watched, line = watch_within(root, "max_inotify_watches", 10)
    assert watched == "10 False"
    assert line.startswith("watch_limited")
    assert "fs.inotify.max_user_watches" in line


def test_a_root_that_is_gone_is_no_error(root: Path):
    """The volume may be unmounted just then: polling finds it when it is back."""
    root.rmdir()
    hinted = Hinted(root)
    assert [event.name for event in hinted.events] == ["watch_limited"]
    hinted.watch.close()


def test_what_is_chosen(tmp_path: Path):
    """What is configured is done; `auto` trusts notification on local file systems alone."""
    assert choose(tmp_path, "poll") == ("poll", "configured")
    assert choose(tmp_path, "inotify") == ("inotify", "configured")
    kind, why = choose(tmp_path, "auto")
    assert kind in ("inotify", "poll")
    assert file_system_type(tmp_path) in why
    assert choose(Path("/proc"), "auto") == ("inotify", "proc is local")


def test_the_file_system_of_a_path():
    """The innermost mount counts, also through a link."""
    assert file_system_type(Path("/proc/self/task")) == "proc"
    assert file_system_type(Path("/proc/self/root/proc")) == "proc"


def test_who_writes_line_by_line_is_not_told_of_for_each_line(tmp_path: Path) -> None:
    """Thousands of small writes to one file make few hints: one after each rest, one after the last."""
    grown = []
    told = threading.Event()

    def grew() -> None:
        grown.append((tmp_path / "d" / "app.log").stat().st_size)
        told.set()

    (tmp_path / "d").mkdir()
    watch = Watch(Volume(tmp_path), "default", Counting(), grew=grew, hurry=lambda: None, emit=print)
    watch.enter(())
    writes, began = 5000, time.monotonic()
    with (tmp_path / "d" / "app.log").open("wb", buffering=0) as file:
        for _ in range(writes):
            file.write(b"line\n")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not grown or grown[-1] < 5 * writes:
        assert told.wait(max(0, deadline - time.monotonic())), f"{len(grown)} hints"
        told.clear()
    rests = (time.monotonic() - began) / REST_SECONDS
    watch.close()
    assert len(grown) <= rests + 3

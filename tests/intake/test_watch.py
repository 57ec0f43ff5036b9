"""Hints from a real file system, and doing without them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from collector.events import Event
from collector.intake.watch import Watch, choose, file_system_type

DEADLINE_SECONDS = 10.0


class Hinted:
    """A watch, and all hints that it ever gave."""

    def __init__(self, root: Path) -> None:
        self.woken = threading.Event()
        self.events: list[Event] = []
        self.seen: set[str] = set()
        self.watch = Watch(root, "default", self.woken.set, self.events.append)

    def wait_for(self, name: str) -> None:
        """Waits until `name` was hinted at, and forgets it."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while name not in self.seen:
            assert self.woken.wait(max(0, deadline - time.monotonic())), (
                f"no hint of {name!r} but of {self.seen}"
            )
            self.woken.clear()
            self.seen |= self.watch.take_hints()
        self.seen.discard(name)

    def forget(self) -> None:
        """Forgets all that came so far."""
        self.watch.take_hints()
        self.seen.clear()


@pytest.fixture
def hinted(root: Path):
    (root / "pod").mkdir()
    hinted = Hinted(root)
    yield hinted
    hinted.watch.close()


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
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:  # the watch on a new directory is set a moment after it was told of
        hinted.forget()
        (root / "new" / "below" / "app.log").write_bytes(b"x\n")
        if hinted.woken.wait(0.2):
            break
        assert time.monotonic() < deadline
    hinted.wait_for("new")


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
    (root / "before").touch()
    hinted.wait_for("before")
    hinted.forget()
    for _ in range(3):
        assert log.read_bytes() == b"x\n"
        assert list((root / "pod").iterdir()) == [log]
    (root / "after").touch()
    hinted.wait_for("after")
    assert "pod" not in hinted.seen


def test_hints_from_many_events_at_once(root: Path, hinted: Hinted):
    """Hints are taken while others come in: none is lost."""
    names = {f"pod-{number}" for number in range(300)}
    writer = threading.Thread(target=lambda: [(root / name).touch() for name in sorted(names)])
    writer.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not names <= hinted.seen:
        assert time.monotonic() < deadline
        hinted.seen |= hinted.watch.take_hints()
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
    assert hinted.watch.take_hints() == set()
    assert not hinted.woken.is_set()
    hinted.watch.close()


LIMITED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from collector.intake.watch import Watch

    def wake():
        pass

    events = []
    watch = Watch(Path(sys.argv[1]), "default", wake, events.append)
    assert watch.take_hints() == set()
    watch.close()
    for event in events:
        print(event.name, event.why)
    """
)


def watch_within(root: Path, limit: str, allowed: int) -> list[str]:
    """Watches with only so many inotify instances or watches; returns what was told, a line each."""
    namespace = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "test", "-w", f"/proc/sys/user/{limit}"], check=False).returncode:
        pytest.skip("a user namespace with limits of its own cannot be made here")
    script = f'echo {allowed} > /proc/sys/user/{limit} && exec "$@"'
    command = [*namespace, "sh", "-c", script, "sh", sys.executable, "-c", LIMITED, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_the_limit_of_inotify_is_no_error(root: Path, limit: str):
    """Without any instance or watch left, a warning says so and what to raise, and polling serves."""
    (line,) = watch_within(root, limit, 0)
    assert line.startswith("watch_limited")
    assert "polling instead" in line
    assert "max_user_watches" in line


def test_fewer_watches_than_directories(root: Path):
    """Those that can be watched are; polling serves the rest, and nothing fails."""
    for number in range(20):
        (root / f"pod-{number}").mkdir()
    lines = watch_within(root, "max_inotify_watches", 10)
    assert all(line.startswith("watch_limited") for line in lines)


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

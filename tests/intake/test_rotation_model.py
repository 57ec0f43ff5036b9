"""Any order of writing, rotating, looking, reading, committing and crashing: each line is collected once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from story import Story, append

from collector.intake.discover import FileSight, Look

PATIENCE_SECONDS = 8
"""Less than a copy is waited for: a copytruncate that takes longer gives its lines twice, by contract."""


class Rotations(RuleBasedStateMachine):
    """A writer, a rotator whose steps can have anything between them, and a collector.

    Nothing is deleted or cut off unread, so nothing may be missing, and nothing counted as lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="joblog-model-"))
        self.written = 0
        self.steps: list[Callable[[], None]] = []
        self.copied_for = 0
        self.is_copying = self.is_copied = self.was_torn = False
        self.device = 1

    @initialize(arena=st.sampled_from([1 << 12, 1 << 20]), files=st.sampled_from([1, 8]))
    def begin(self, arena: int, files: int) -> None:
        self.story = Story(
            self.folder / "volume", arena_bytes=arena, max_line_bytes=1 << 10, open_files=files
        )
        self.log = self.story.pod / "app.log"
        self.log.touch()
        self.story.look()

    def teardown(self) -> None:
        try:
            if hasattr(self, "story"):
                self.end()
        finally:
            shutil.rmtree(self.folder)

    def end(self) -> None:
        """Lets everything come to rest: now each line is there, once."""
        self.take_steps(len(self.steps))
        self.story.turns(20)
        lines = {f"line {number:06d}".encode(): 1 for number in range(self.written)}
        assert self.story.lines == lines
        assert self.story.lost == []
        (source,) = self.story.catalog
        assert self.story.catalog.is_drained(source)
        assert self.story.catalog.is_committed(source)
        assert not self.story.catalog.has_unsettled()
        self.story.close()

    # --- the writer

    @precondition(lambda self: not self.is_copied)
    @rule(count=st.sampled_from([1, 3, 40, 400]))
    def write(self, count: int) -> None:
        """Appends to the file it opened, whatever its name is now."""
        lines = range(self.written, self.written + count)
        path = self.log if self.log.exists() else self.archive(1)
        append(path, b"".join(b"line %06d\n" % number for number in lines))
        self.written += count

    # --- the rotator

    def archive(self, number: int) -> Path:
        return self.story.pod / f"app.log.{number}"

    @precondition(lambda self: not self.steps)
    @rule(by_copy=st.booleans(), half=st.floats(0, 1))
    def rotate(self, by_copy: bool, half: float) -> None:
        last = next(number for number in range(1, 100) if not self.archive(number).exists())
        self.steps = [
            partial(os.rename, self.archive(number), self.archive(number + 1))
            for number in range(last - 1, 0, -1)
        ]
        if by_copy:
            self.steps += [partial(self.copy, half), partial(self.copy, 1), self.cut]
        else:
            self.steps += [partial(os.rename, self.log, self.archive(1)), self.log.touch]

    def copy(self, part: float) -> None:
        """The copy grows to a part of what the original holds at this moment."""
        data = self.log.read_bytes()
        target = self.archive(1)
        have = target.stat().st_size if target.exists() else 0
        append(target, data[have : max(have, int(len(data) * part))])
        self.is_copying, self.is_copied = True, part == 1

    def cut(self) -> None:
        os.truncate(self.log, 0)
        self.is_copying = self.is_copied = False
        self.copied_for = 0

    @precondition(lambda self: self.steps)
    @rule()
    def step(self) -> None:
        self.take_steps(1)

    def take_steps(self, count: int) -> None:
        for _ in range(min(count, len(self.steps))):
            self.steps.pop(0)()

    # --- the collector

    @precondition(lambda self: not self.is_copying or self.copied_for < PATIENCE_SECONDS)
    @rule(seconds=st.integers(0, 2))
    def wait(self, seconds: int) -> None:
        self.story.now += seconds
        if self.is_copying:
            self.copied_for += seconds

    @rule()
    def look(self) -> None:
        self.look_all()

    def look_all(self) -> None:
        self.story.look()
        self.was_torn = False

    @precondition(lambda self: not self.was_torn)
    @rule(late=st.sets(st.integers(0, 5)), steps=st.integers(1, 3))
    def look_while_it_rotates(self, late: set[int], steps: int) -> None:
        """A look takes the names at one moment, and what each of them is one after the other. That this
        happens twice in a row to the same file is not provided for.
        """
        self.was_torn = True
        early = self.story.glance().files
        self.take_steps(steps)
        sights = (self.sight(seen) if at in late else seen for at, seen in enumerate(early))
        self.story.observe(Look(tuple(sight for sight in sights if sight), tombstone=False, skipped=()))

    def sight(self, seen: FileSight) -> FileSight | None:
        return next((sight for sight in self.story.glance().files if sight.name == seen.name), None)

    @rule()
    def read(self) -> None:
        self.story.read_arena()

    @rule()
    def turn(self) -> None:
        self.look_all()
        self.story.read()

    @rule()
    def commit(self) -> None:
        self.story.commit()

    @rule(is_remount=st.booleans())
    def crash(self, is_remount: bool) -> None:
        if is_remount:
            self.device += 1
            self.story.remember(device=self.device)
        self.story.restart()
        self.look_all()


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Rotations,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_each_line_once_in_any_order():
    """Rotation by rename and by copy, step by step, between and within looks, with crashes and remounts."""
    play(examples=80, steps=40)


@pytest.mark.soak
def test_each_line_once_in_any_order_for_long():
    """The same, for thousands of orders."""
    play(examples=4000, steps=60)

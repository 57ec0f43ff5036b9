"""When the scan looks where, without any notification: by a clock that only the test moves."""

from __future__ import annotations

import pytest
from story import POD, Story

from collector.intake.scan import LONGEST_INTERVAL_SECONDS, Scanner


class Clock:
    """Turns the scan once a second, as often as the volume is polled."""

    def __init__(self, story):
        self.story, self.seconds = story, 0.0
        self.scanner = Scanner(
            story.discovery,
            story.catalog,
            None,
            volume="default",
            shard=0,
            poll_interval_seconds=1.0,
            monotonic=lambda: self.seconds,
            emit=story.events.append,
        )

    def until_seen(self, name, within):
        """How many seconds pass until the scan knows the file."""
        for waited in range(1, within + 1):
            self.turn()
            if name in self.source.files:
                return waited
        return None

    def turn(self):
        self.seconds += 1
        self.scanner.scan(self.story.now + self.seconds, self.seconds)

    @property
    def source(self):
        return self.story.catalog.sources[POD]


@pytest.fixture
def finished(tmp_path):
    """A volume with one source, which has its receipt."""
    story = Story(tmp_path / "volume")
    (story.pod / "app.log").write_text("done\n")
    clock = Clock(story)
    clock.turn()
    story.read()
    story.commit()
    clock.source.finished, clock.source.finish_by = True, "tombstone"
    yield clock
    story.close()


@pytest.mark.parametrize(("quiet", "within"), [(0, 2), (4, 8), (1000, int(LONGEST_INTERVAL_SECONDS))])
def test_a_late_file_in_a_finished_source_is_seen(finished, quiet, within):
    """Soon after the end within seconds; however long it was quiet, within half a minute."""
    for _ in range(quiet):
        finished.turn()
    (finished.story.pod / "late.log").write_text("late\n")
    assert finished.until_seen("late.log", within) is not None
    assert not finished.source.finished, "its bytes ask for a further receipt"


def test_finished_sources_cost_little(finished):
    """Ten minutes of quiet are some twenty looks at a finished source, not six hundred."""
    looks = {finished.source.looked_at}
    for _ in range(599):
        finished.turn()
        looks.add(finished.source.looked_at)
    assert finished.source.finished
    assert 599 // LONGEST_INTERVAL_SECONDS <= len(looks) <= 27


def test_a_file_that_waits_in_a_finished_source_is_looked_at_soon(finished):
    """What may be the copy of a deleted file waits to be told apart from it, and is read when it is."""
    pod, story = finished.story.pod, finished.story
    story.reader.release(finished.source.files["app.log"])
    (pod / "app.log").unlink()
    (pod / "app.log.1").write_text("one\n")
    for _ in range(60):
        finished.turn()
    story.read()
    story.commit()
    assert story.text[("app.log.1", 0)] == b"one\n"

"""Files that cannot be opened or looked at, though they are there: retried, told, never taken for gone."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from story import Story, append, numbered

from collector.intake.read import LONGEST_RETRY_SECONDS, MOST_VANISHED, Reader
from collector.intake.volume import Volume


class FaultyVolume(Volume):
    """A volume whose files cannot be opened for a while."""

    error = 0
    tries = 0

    def open_within(self, directory: int, name: str) -> tuple[int, os.stat_result]:
        if self.error:
            self.tries += 1
            raise OSError(self.error, os.strerror(self.error))
        return super().open_within(directory, name)


class FaultyStory(Story):
    """A story whose reader reads from a faulty volume; looks are as ever."""

    def _begin(self) -> None:
        super()._begin()
        self.faulty = FaultyVolume(self.root)
        self.reader = Reader(self.faulty, "default", emit=self.events.append, **self._reader_settings)

    def close(self) -> None:
        super().close()
        self.faulty.close()


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyStory]:
    story = FaultyStory(tmp_path)
    yield story
    story.close()


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE])
def test_a_file_that_cannot_be_opened_for_a_while(faulty: FaultyStory, error: int) -> None:
    """EIO, ESTALE, too many open files: told, tried again, and all of it is read once; nothing is lost."""
    faulty.faulty.error = error
    append(faulty.pod / "app.log", numbered(0, 10))
    faulty.turns(10)
    assert faulty.text == {}
    assert faulty.named("file_unreadable")
    faulty.faulty.error = 0
    faulty.turns(int(LONGEST_RETRY_SECONDS))
    assert faulty.text == {("app.log", 0): numbered(0, 10)}
    assert faulty.lost == []


def test_tries_of_a_file_grow_rarer(faulty: FaultyStory) -> None:
    """A file that can never be read costs less and less: tries are 1, 2, 4 s apart, at most a minute."""
    faulty.faulty.error = errno.EIO
    append(faulty.pod / "app.log", numbered(0, 10))
    faulty.turns(600)
    assert 10 <= faulty.faulty.tries <= 17
    before = faulty.faulty.tries
    faulty.turns(120)
    assert faulty.faulty.tries > before


def test_a_stale_file_that_every_look_sees_is_told_in_the_end(faulty: FaultyStory) -> None:
    """ESTALE says that a file is gone: a look decides. If each look sees it again, that is a failure."""
    faulty.faulty.error = errno.ESTALE
    append(faulty.pod / "app.log", numbered(0, 10))
    faulty.turns(MOST_VANISHED)
    assert not faulty.named("file_unreadable")
    faulty.turns(2)
    assert len(faulty.named("file_unreadable")) == 1

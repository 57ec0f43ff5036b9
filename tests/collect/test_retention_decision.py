"""Which sources retention chooses, by age and by free space, and what a receipt proves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config_sections import FreeSpace, RetentionConfig
from collector.expiry import Candidate, Choice, Space, expire, missing_bytes
from collector.model import (
    Evidence,
    FileCheckpoint,
    FileId,
    Loss,
    Origin,
    Receipt,
    ReceiptFile,
    ReceiptLoss,
    SourceCheckpoint,
)
from collector.state.receipt import carried, difference

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def wanted(*, after: float | None = None, percent: float | None = None, size: int | None = None):
    free = None if percent is None and size is None else FreeSpace(percent, size)
    return RetentionConfig(delete_after_seconds=after, free_space=free)


def candidate(source: str, hours_ago: float, size: int = 100) -> Candidate:
    return Candidate(source, NOW - timedelta(hours=hours_ago), size)


def test_age_counts_from_the_receipt():
    """At `delete_after` a source goes, a second before it does not; the oldest goes first."""
    sources = [candidate("a", 24), candidate("b", 30), Candidate("c", NOW - timedelta(seconds=86399), 1)]
    chosen = expire(sources, wanted(after=86400), None, NOW).choices
    assert chosen == (Choice("b", "age"), Choice("a", "age"))


def test_a_receipt_from_the_future_is_not_old():
    """A clock that was set back deletes later, never earlier."""
    assert expire([candidate("a", -5)], wanted(after=0), None, NOW).choices == ()


def test_space_takes_the_oldest_until_there_is_enough():
    """No more than it takes; what goes for its age counts too."""
    sources = [candidate(name, hours) for name, hours in (("a", 1), ("b", 2), ("c", 3), ("d", 99))]
    plan = expire(sources, wanted(after=360000, percent=50), Space(1000, 350), NOW)
    assert plan.choices == (Choice("d", "space"), Choice("c", "space"))
    plan = expire(sources, wanted(after=86400, percent=50), Space(1000, 350), NOW)
    assert plan.choices == (Choice("d", "age"), Choice("c", "space"))


def test_what_cannot_be_reached_is_said():
    """All that may go goes, and what is missing then is told."""
    assert expire([candidate("a", 1)], wanted(size=1000), Space(2000, 100), NOW).missing_bytes == 800


def test_an_empty_source_does_not_go_for_space():
    """It would give nothing back."""
    assert expire([candidate("a", 1, 0)], wanted(size=1000), Space(2000, 100), NOW).choices == ()


def test_free_space_that_cannot_be_judged_deletes_nothing():
    """A file system that tells no size is neither full nor empty."""
    assert missing_bytes(wanted(percent=99), None) == 0
    assert expire([candidate("a", 99)], wanted(percent=99), None, NOW).choices == ()


@given(
    ages=st.lists(st.floats(-10, 100), max_size=20),
    after=st.none() | st.integers(0, 360000),
    percent=st.none() | st.floats(0.1, 99.9),
    free=st.integers(0, 1000),
)
def test_the_choice_is_never_more_than_is_wanted(ages, after, percent, free):
    """Old ones all go; beyond them no source goes without which there would be enough room, none goes twice,
    and no younger one goes for space while an older one stays.
    """
    if after is None and percent is None:
        after = 0
    sources = [candidate(f"{number}", age) for number, age in enumerate(ages)]
    policy, space = wanted(after=after, percent=percent), Space(1000, free)
    choices = expire(sources, policy, space, NOW).choices
    by_name = {each.source: each for each in sources}
    gone = [by_name[choice.source] for choice in choices]
    assert len({each.source for each in gone}) == len(gone)
    old = {
        each.source
        for each in sources
        if after is not None and each.receipted_at <= NOW - timedelta(0, after)
    }
    assert {choice.source for choice in choices if choice.reason == "age"} == old
    for_space = [by_name[choice.source] for choice in choices if choice.reason == "space"]
    if for_space:
        assert sum(each.bytes for each in gone) - for_space[-1].bytes < missing_bytes(policy, space)
        left = [each for each in sources if each not in gone]
        assert all(each.receipted_at >= for_space[-1].receipted_at for each in left)


# --- what a receipt proves

EVIDENCE = Evidence(1, 2, 0, "", 0, "")
FILE = FileCheckpoint(FileId("s", "app.log", 0), "app.log", 10, 10, 1, True, EVIDENCE)
KNOWN = SourceCheckpoint(
    "s",
    Origin("s"),
    objects=("data/1", "data/2"),
    losses=(Loss("s", "b.log", 0, 0, 5, "deleted"),),
    revision=1,
    finished_by="tombstone",
)
RECEIPT = Receipt(
    namespace=None,
    job=None,
    pod=None,
    volume="default",
    source="s",
    revision=1,
    finished_by="tombstone",
    tombstone=None,
    files=(ReceiptFile("app.log", 0, 10, 1, "ab"), ReceiptFile("empty.log", 0, 0, 0, "cd")),
    objects=("data/1", "data/2"),
    losses=(ReceiptLoss("b.log", 0, 0, 5, "deleted"),),
    first_observed_at=None,
    last_observed_at=None,
)


def test_a_receipt_of_all_that_is_known_proves_it():
    """Empty files, which no checkpoint has, and the hole that a file ends in take nothing from it."""
    assert difference(RECEIPT, "default", KNOWN, [FILE]) == ""
    holed = replace(RECEIPT, files=(replace(RECEIPT.files[0], holes=((10, 20),)),))
    assert difference(holed, "default", KNOWN, [FILE]) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"volume": "other"}, "another one's"),
        ({"revision": 2}, "another one's"),
        ({"files": ()}, "other files"),
        ({"files": (ReceiptFile("app.log", 1, 10, 1, "ab"),)}, "other files"),
        ({"files": (ReceiptFile("app.log", 0, 9, 1, "ab"),)}, "other bytes"),
        ({"losses": ()}, "other losses"),
        ({"objects": ("data/1",)}, "other objects"),
    ],
)
def test_a_receipt_of_less_or_of_something_else_proves_nothing(change, why):
    """Files, generations, bytes, losses and objects must all be the same."""
    assert why in difference(replace(RECEIPT, **change), "default", KNOWN, [FILE])


def test_a_further_revision_keeps_what_an_earlier_one_knew():
    """Hashes, last holes and empty files of what is gone from the volume; never over what is known better."""
    before = replace(RECEIPT, files=(replace(RECEIPT.files[0], holes=((10, 20),)), RECEIPT.files[1]))
    now = replace(RECEIPT, files=(replace(RECEIPT.files[0], sha256=None),))
    assert carried(before, now).files == before.files
    grown = replace(RECEIPT, files=(ReceiptFile("app.log", 0, 12, 2, None),))
    assert carried(before, grown).files[0] == grown.files[0]

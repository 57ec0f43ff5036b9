"""Names: percent-encoding and what a Pod's name says of its Job."""

import os
import re
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.intake.names import decode_name, encode_name, job_of, schedule_of

SUFFIXES = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True)
RUN = datetime(2025, 2, 19, 22, 37, tzinfo=UTC)


@given(st.binary(max_size=300))
@example(b"%41%zz%")
@example(b"\xed\xa0\x80 \xc2\x9b31m \xe2\x80\xae")
def test_any_name_comes_back(name):
    """Decoding an encoded name gives the bytes on disk, for every sequence of bytes."""
    assert os.fsencode(decode_name(encode_name(os.fsdecode(name)))) == name


@given(st.binary(max_size=300))
def test_an_encoded_name_can_be_shown(name):
    """An encoded name is valid UTF-8 without control characters, and "%" only starts an escape."""
    encoded = encode_name(os.fsdecode(name))
    encoded.encode()
    assert not {unicodedata.category(character) for character in encoded} & {"Cc", "Cs", "Zl", "Zp"}
    assert re.fullmatch(r"([^%]|%[0-9A-F]{2})*", encoded)


@given(st.text(st.characters(blacklist_categories=["C", "Z"], blacklist_characters="%"), max_size=100))
def test_a_harmless_name_is_left_alone(name):
    """Printable text in any script is its own encoded name, "/" included."""
    assert encode_name(f"a/{name} b") == f"a/{name} b"


@pytest.mark.parametrize(
    ("raw", "encoded"),
    [
        (b"50%", "50%25"),
        (b"a\nb\x1b[31m\x7f", "a%0Ab%1B[31m%7F"),
        (b"\xff\xfe.log", "%FF%FE.log"),
        ("a\u0085b".encode(), "a%C2%85b"),
        ("x\u202egol.exe".encode(), "x%E2%80%AEgol.exe"),
        ("\u2028\u2066\u200f\ufeff".encode(), "%E2%80%A8%E2%81%A6%E2%80%8F%EF%BB%BF"),
        ("größe/日本".encode(), "größe/日本"),
    ],
)
def test_encoding_by_example(raw, encoded):
    """Escapes are upper-case hex, byte by byte."""
    assert encode_name(os.fsdecode(raw)) == encoded


@given(LABELS, SUFFIXES)
def test_the_random_suffix_is_taken_off(job, suffix):
    """The Job of a generated Pod name is what stands before "-" and the suffix."""
    assert job_of(f"{job}-{suffix}")[0] == job


@pytest.mark.parametrize(
    "pod",
    [
        "debug-shell",
        "web",
        "x7k2p",
        "-x7k2p",
        "nightly-X7K2P",
        "nightly-x7k2pp",
        "a-x7k2",
        "job-x7k2a",
        "j\n",
    ],
)
def test_a_pod_without_suffix_is_its_own_job(pod):
    """What does not end in "-" and five characters of the alphabet is no generated name."""
    assert job_of(pod) == (pod, None, None)


@pytest.mark.parametrize(
    ("pod", "job", "cronjob", "scheduled_at"),
    [
        ("nightly-29000077-x7k2p", "nightly-29000077", "nightly", RUN),
        ("nightly-29000077", "nightly-29000077", "nightly", RUN),
        ("nightly-29000077-12-x7k2p", "nightly-29000077-12", "nightly", RUN),
        ("a-29000076-29000077-x7k2p", "a-29000076-29000077", "a-29000076", RUN),
        ("report-20261122-x7k2p", "report-20261122", None, None),
        ("report-99999999-x7k2p", "report-99999999", None, None),
        ("nightly-2900007-x7k2p", "nightly-2900007", None, None),
        ("nightly-290000770-x7k2p", "nightly-290000770", None, None),
        ("-29000077", "-29000077", None, None),
        ("nightly-2900007\u0667", "nightly-2900007\u0667", None, None),
    ],
)
def test_the_runs_of_a_cronjob(pod, job, cronjob, scheduled_at):
    """Eight digits that are a plausible time in minutes give CronJob and time; other digits do not."""
    assert job_of(pod) == (job, cronjob, scheduled_at)


def test_plausible_times_have_bounds():
    """From the start of 2014 to the end of 2099 a number of minutes is a scheduled time."""
    first, last = datetime(2014, 1, 1, tzinfo=UTC), datetime(2099, 12, 31, 23, 59, tzinfo=UTC)
    minutes = [int(at.timestamp()) // 60 for at in (first, last)]
    assert schedule_of(f"a-{minutes[0]}") == ("a", first)
    assert schedule_of(f"a-{minutes[0] - 1}") == (None, None)
    assert schedule_of(f"a-{minutes[1]}") == ("a", last)
    assert schedule_of(f"a-{minutes[1] + 1}") == (None, None)


def generated(job, index=None, suffix="x7k2p"):
    """The Pod name that Kubernetes generates for a Job: its base is cut at 58 characters."""
    if index is None:
        return f"{job}-"[:58] + suffix
    return job[: 58 - len(f"-{index}-")] + f"-{index}-" + suffix


@given(st.integers(1, 80), st.none() | st.integers(0, 99999))
def test_long_job_names_are_cut(length, index):
    """The Job of a cut name is all that is left of it, the index included."""
    job = "j" * length
    pod = generated(job, index)
    assert len(pod) <= 63
    assert job_of(pod)[0] == pod[:-5].removesuffix("-")


@pytest.mark.parametrize("length", [48, 49, 50, 51, 52])
def test_the_cronjob_of_a_cut_name(length):
    """A CronJob with a name of up to 52 characters is known in each of its Pods; a cut time is not told."""
    cronjob = "c" * length
    job, found, scheduled_at = job_of(generated(f"{cronjob}-29000077"))
    assert found == cronjob
    assert job == f"{cronjob}-29000077"[:58]
    assert scheduled_at == (RUN if length <= 49 else None)


def test_digits_of_a_long_name_that_are_no_time():
    """A cut name is a CronJob's only if its digits can begin a plausible time."""
    assert job_of(generated("c" * 51 + "-999999-more"))[1] is None


def test_the_cronjob_of_a_cut_indexed_name():
    """The index after cut digits does not hide the CronJob."""
    pod = generated("c" * 49 + "-29000077", index=7)
    assert job_of(pod) == ("c" * 49 + "-290000"[: 58 - 49 - 3] + "-7", "c" * 49, None)

"""The lines themselves: numbered, of the right shape, and the same for the same seed."""

import itertools
import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.generate.lines import Lines, first_record_end, last_record_end
from collector.generate.pace import steps

NOW = datetime(2026, 11, 22, 9, 5, 1, 250_000, tzinfo=UTC)
TYPES = ("nginx", "java", "json", "random")
NUMBER = re.compile(rb"seq=(\d{9,})|\"seq\":(\d+)")


def numbers(data: bytes) -> list[int]:
    return [int(first or second) for first, second in NUMBER.findall(data)]


@pytest.mark.parametrize("log_type", TYPES)
def test_every_record_has_its_number_once(log_type: str):
    """Records 7 to 3506 bear the numbers 7 to 3506, in order, each once."""
    block = Lines(log_type, item_length=5).block(7, 3500, NOW)
    assert numbers(block) == list(range(7, 3507))
    assert block.endswith(b"\n")


@given(
    log_type=st.sampled_from(TYPES),
    counts=st.lists(st.integers(0, 700), max_size=5),
    seed=st.integers(),
    now=st.sampled_from((NOW, None)),
)
def test_blocks_are_cuts_of_one_sequence(log_type: str, counts: list[int], seed: int, now: datetime | None):
    """However the sequence is cut into blocks, its bytes are the same."""
    log = Lines(log_type, seed=seed, item_length=3, key_count=1)
    starts = itertools.accumulate([1, *counts])
    pieces = [log.block(first, count, now) for first, count in zip(starts, counts, strict=False)]
    assert b"".join(pieces) == log.block(1, sum(counts), now)


@pytest.mark.parametrize("log_type", TYPES)
def test_seeds_make_different_logs(log_type: str):
    """No line of one seed is a line of another, so no two Jobs can be confused."""
    one, other = (Lines(log_type, seed=seed).block(1, 200, NOW) for seed in ("a", "b"))
    lines = [{line for line in log.splitlines() if NUMBER.search(line)} for log in (one, other)]
    assert not lines[0] & lines[1]


def test_nginx_lines_are_access_log_lines():
    """Each is what nginx writes in its combined format, with the number in the query and a duration."""
    combined = re.compile(
        rb'[\d.]+ - - \[22/Nov/2026:09:05:01 \+0000\] "(?:GET|POST) /\S*\?seq=\d{9}&id=[0-9a-f]{16} '
        rb'HTTP/1\.1" \d{3} \d+ "\S+" "[^"]+" \d+\.\d{3}'
    )
    for line in Lines("nginx").block(1, 1000, NOW).splitlines():
        assert combined.fullmatch(line), line


def test_json_lines_are_objects_with_the_keys_that_were_asked_for():
    """`key_count` keys with values of `item_length`, besides time, number and id."""
    for number, line in enumerate(
        Lines("json", item_length=7, key_count=3).block(1, 50, NOW).splitlines(), 1
    ):
        values = json.loads(line)
        assert values["seq"] == number
        assert datetime.fromisoformat(values["time"]) == NOW
        assert [len(values[f"key_{key}"]) for key in range(3)] == [7, 7, 7]
        assert len(values) == 6


def test_random_lines_have_the_keys_that_were_asked_for():
    """`key_count` values of `item_length`."""
    line = Lines("random", item_length=11, key_count=2).block(1, 1, NOW)
    assert re.fullmatch(
        rb"2026-11-22T09:05:01\.250000Z seq=000000001 id=\w{16} key_0=\w{11} key_1=\w{11}\n", line
    )


def test_java_has_stack_traces_now_and_then():
    """Some records go on over lines that start like no record; most do not."""
    lines = Lines("java").block(1, 1000, NOW).splitlines()
    heads = [line for line in lines if NUMBER.search(line)]
    frames = [line for line in lines if line.startswith(b"\tat ")]
    assert len(heads) == 1000
    assert 20 < sum(b" ERROR " in line for line in heads) < 100
    assert len(frames) > 60


def test_a_record_larger_than_memory_would_like_is_not_kept_a_thousand_times():
    """Records of 1 MB come one by one, each whole."""
    log = Lines("json", item_length=1 << 20, key_count=1)
    assert log.bulk == 1
    assert numbers(log.block(1, 3, NOW)) == [1, 2, 3]


@given(st.sampled_from(TYPES), st.integers(1, 60), st.integers(0, 20_000))
def test_record_ends_are_where_records_end(log_type: str, count: int, room: int):
    """A block is cut only between records, as far on as there is room."""
    log = Lines(log_type, item_length=3, key_count=2)
    block = log.block(1, count, NOW)
    ends = [len(log.block(1, whole, NOW)) for whole in range(count + 1)]
    assert last_record_end(block, room) == max(end for end in ends if end <= room)
    assert first_record_end(block) == ends[1]


class Clock:
    """Time that moves when somebody sleeps, and never otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(rate=st.floats(0.5, 100_000), total=st.integers(1, 2000))
def test_a_rate_is_kept_exactly(rate: float, total: int):
    """At any time as many lines are out as the rate allows, at most 10 ms or one line late."""
    clock = Clock()
    out = 0
    for first, count in steps(
        total, rate, 4000, monotonic=lambda: clock.now, sleep=clock.sleep, stopped=lambda: False
    ):
        assert first == out + 1
        out += count
        assert out <= 1 + rate * clock.now + 1e-6
    assert out == total
    assert clock.now <= (total - 1) / rate + 0.011


def test_without_a_rate_lines_come_in_bulk_and_nobody_sleeps():
    """10,000 lines in blocks of 4,000."""
    clock = Clock()
    blocks = list(
        steps(10_000, 0, 4000, monotonic=lambda: clock.now, sleep=clock.sleep, stopped=lambda: False)
    )
    assert blocks == [(1, 4000), (4001, 4000), (8001, 2000)]
    assert clock.now == 0

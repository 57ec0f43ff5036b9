"""Counts, object by object, how often each numbered line is in a destination: one byte of memory a line."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from chaos_writer import NUMBER_DIGITS
from exported import body, keys

NUMBER_AT = 5
PADDING_AT = NUMBER_AT + NUMBER_DIGITS + 1


@dataclass(frozen=True)
class Tally:
    """`strange` are rows that no writer wrote, or not so. `examples` of what is missing or there twice."""

    written: int
    delivered: int
    missing: int
    twice: int
    strange: int
    examples: tuple[str, ...]


def tally(to: str, written: Mapping[str, int]) -> Tally:
    """Compares the destination with how many lines each tag wrote."""
    counts = {tag: np.zeros(lines, np.uint8) for tag, lines in written.items()}
    rows = strange = 0
    for key in keys(to, "data/"):
        messages = pq.ParquetFile(io.BytesIO(body(to, key))).read(columns=["message"])["message"]
        rows += len(messages)
        strange += _count(messages, counts)
    missing = sum(int(np.count_nonzero(each == 0)) for each in counts.values())
    twice = sum(int(np.count_nonzero(each > 1)) for each in counts.values())
    examples = tuple(
        f"{tag} {number:0{NUMBER_DIGITS}d} is there {each[number]} times"
        for tag, each in counts.items()
        for number in np.flatnonzero(each != 1)[:5]
    )
    return Tally(sum(written.values()), rows, missing, twice, strange, examples)


def _count(messages, counts: Mapping[str, np.ndarray]) -> int:
    """Counts the lines of one object; returns how many rows are none."""
    known = 0
    tags = pc.utf8_slice_codeunits(messages, 0, NUMBER_AT - 1)
    for tag, count in counts.items():
        mine = messages.filter(pc.equal(tags, tag))
        digits = pc.utf8_slice_codeunits(mine, NUMBER_AT, NUMBER_AT + NUMBER_DIGITS)
        is_number = pc.match_substring_regex(digits, rf"^[0-9]{{{NUMBER_DIGITS}}}$")
        numbers = digits.filter(is_number).cast("int64").to_numpy()
        lengths = pc.utf8_length(mine.filter(is_number)).to_numpy()
        right = (numbers < len(count)) & (lengths == PADDING_AT + numbers * 7919 % 241)
        np.add.at(count, numbers[right], 1)
        known += int(np.count_nonzero(right))
    return len(messages) - known

"""Named groups of a regular expression. What is exact is decided by `re`; chains only get there faster."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.parse.chain import compile_chain, is_anchored
from collector.rows.parse.merge import merged
from collector.rows.parse.scan import Block, Scan

ROWS = 2048
"""That are read one by one at a time."""

MOST_DISAPPOINTMENTS = 4
"""After so many blocks of which a chain left more than half to `re`, it is no longer tried."""

Extracted = tuple[list[pa.Array], NDArray[np.bool_]]
"""A column for each field, and whether the row matched; where it did not, all columns are null."""


class Regex:
    """Finds the leftmost match in each row, as `re.search` does."""

    def __init__(self, pattern: str, fields: Sequence[str]) -> None:
        self._pattern = re.compile(pattern)
        self._groups = [self._pattern.groupindex[name] for name in fields]
        self._chain = compile_chain(self._pattern)
        self._disappointments = 0
        # What can only match at the start need not be tried at each further character.
        self._search = self._pattern.match if is_anchored(self._pattern) else self._pattern.search

    @property
    def is_chain(self) -> bool:
        return self._chain is not None

    def extract(self, text: pa.StringArray) -> Extracted:
        if self._chain is None or self._disappointments == MOST_DISAPPOINTMENTS:
            return self._by_row(text)
        scan = Scan(self._chain, Block.of(text))
        if 2 * np.count_nonzero(scan.accepted) < len(text):
            self._disappointments += 1
            return self._by_row(text)
        columns = [scan.values(group) for group in self._groups]
        return self._with_rejected(text, columns, scan.accepted)

    def _with_rejected(
        self, text: pa.StringArray, columns: list[pa.Array], accepted: NDArray[np.bool_]
    ) -> Extracted:
        if accepted.all():
            return columns, accepted
        rejected = ~accepted
        rest, matched = self._by_row(text.filter(pa.array(rejected)))
        accepted = accepted.copy()
        accepted[rejected] = matched
        return merged(columns, rejected, rest), accepted

    def _by_row(self, text: pa.StringArray) -> Extracted:
        """Each row on its own: measured as fast as one search through all of them, and exact by nature. A few
        thousand at a time, so that Python's strings are still in the cache when they become columns.
        """
        found = [self._few(text.slice(at, ROWS)) for at in range(0, len(text), ROWS)] or [self._few(text)]
        if len(found) == 1:
            return found[0]
        columns = [pa.concat_arrays(list(each)) for each in zip(*(few[0] for few in found), strict=True)]
        return columns, np.concatenate([few[1] for few in found])

    def _few(self, text: pa.StringArray) -> Extracted:
        wide, groups = self._pattern.groups, self._groups
        nothing = (None,) * wide
        flat: list[str | None] = []
        matched = np.ones(len(text), np.bool_)
        for row, match in enumerate(map(self._search, text.to_pylist())):
            if match is None:
                matched[row] = False
                flat += nothing
            else:
                flat += match.groups()
        return [pa.array(flat[group - 1 :: wide], pa.string()) for group in groups], matched

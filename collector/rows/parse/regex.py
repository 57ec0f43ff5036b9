"""Named groups of a regular expression. What is exact is decided by `re`; chains only get there faster."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.rows.block import Block
from collector.rows.parse.chain import compile_chain, is_anchored
from collector.rows.parse.head import compile_head
from collector.rows.parse.merge import merged
from collector.rows.parse.row_by_row import Extracted, RowByRow
from collector.rows.parse.scan import Scan

MOST_DISAPPOINTMENTS = 4
"""After so many blocks of which a chain left more than half to `re`, it is no longer tried."""


class Regex:
    """Finds the leftmost match in each row, as `re.search` does."""

    def __init__(self, pattern: str, fields: Sequence[str]) -> None:
        whole = re.compile(pattern)
        self._groups = [whole.groupindex[name] for name in fields]
        # What can only match at the start need not be tried at each further character.
        search = whole.match if is_anchored(whole) else whole.search
        self._by_row = RowByRow(search, self._groups, whole.groups)
        self._chain, self._rest = compile_chain(whole), None
        self._disappointments = 0
        head = compile_head(whole) if self._chain is None else None
        if head is not None:
            self._chain = head.chain
            before = len(head.chain.groups)
            behind = [group - before for group in self._groups if group > before]
            self._rest = RowByRow(head.rest.match, behind, head.rest.groups)

    @property
    def is_chain(self) -> bool:
        """As a whole."""
        return self._chain is not None and self._rest is None

    @property
    def begins_as_chain(self) -> bool:
        return self._chain is not None

    def extract(self, text: pa.StringArray) -> Extracted:
        if self._chain is None or self._disappointments == MOST_DISAPPOINTMENTS:
            return self._by_row.extract(text)
        scan = Scan(self._chain, Block.of(text))
        accepted, behind = scan.accepted, list[pa.Array]()
        if self._rest is not None and 2 * np.count_nonzero(accepted) >= len(text):
            behind, matched = self._rest.extract(scan.rest())
            accepted = accepted & matched
        if 2 * np.count_nonzero(accepted) < len(text):
            self._disappointments += 1
            return self._by_row.extract(text)
        before = len(self._chain.groups)
        rest = iter(behind)
        columns = [scan.values(group) if group <= before else next(rest) for group in self._groups]
        return self._with_rejected(text, columns, accepted)

    def _with_rejected(
        self, text: pa.StringArray, columns: list[pa.Array], accepted: NDArray[np.bool_]
    ) -> Extracted:
        if accepted.all():
            return columns, accepted
        rejected = ~accepted
        rest, matched = self._by_row.extract(text.filter(pa.array(rejected)))
        accepted = accepted.copy()
        accepted[rejected] = matched
        return merged(columns, rejected, rest), accepted

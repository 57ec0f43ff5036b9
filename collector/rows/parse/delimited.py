"""Fields between separators. Rows without the quote are a chain; those with it are read by `csv`."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.model import DelimiterSettings
from collector.rows.parse.merge import merged
from collector.rows.parse.regex import Regex
from collector.rows.parse.row_by_row import Extracted


class Delimited:
    """A row matches if it has just as many fields as are named."""

    def __init__(self, settings: DelimiterSettings, fields: Sequence[str]) -> None:
        self._settings = settings
        self._wanted = [settings.fields.index(name) for name in fields]
        self._plain = Regex(pattern_of(settings), [f"f{index}" for index in self._wanted])

    def extract(self, text: pa.StringArray) -> Extracted:
        quoted = self._quoted(text)
        if not quoted.any():
            return self._plain.extract(text)
        mask = pa.array(quoted)
        columns, matched = self._by_csv(text.filter(mask))
        if quoted.all():
            return columns, matched
        # Empty rows for those with quotes, which are then put in their places.
        plain, accepted = self._plain.extract(pc.if_else(mask, "", text))
        accepted = accepted.copy()
        accepted[quoted] = matched
        return merged(plain, quoted, columns), accepted

    def _quoted(self, text: pa.StringArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        if self._settings.quote is None:
            return np.zeros(len(text), np.bool_)
        found = pc.match_substring(text, self._settings.quote)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)

    def _by_csv(self, text: pa.StringArray) -> Extracted:
        rows = [self._row(row) for row in text.to_pylist()]
        matched = np.array([row is not None for row in rows], np.bool_)
        return [
            pa.array([row[index] if row else None for row in rows], pa.string()) for index in self._wanted
        ], matched

    def _row(self, row: str) -> list[str] | None:
        settings = self._settings
        try:
            reader = csv.reader([row], delimiter=settings.separator, quotechar=settings.quote, strict=True)
            fields = next(reader, [])
        except csv.Error:
            return None
        return fields if len(fields) == len(settings.fields) else None


def pattern_of(settings: DelimiterSettings) -> str:
    r"""What a row without quotes looks like, as a regular expression with the groups f0, f1, …"""
    separator = re.escape(settings.separator)
    fields = (f"(?P<f{index}>[^{separator}]*)" for index in range(len(settings.fields)))
    return rf"\A{separator.join(fields)}\Z"

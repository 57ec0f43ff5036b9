"""JSON lines → columns. Arrow reads whole blocks; a block with a line that it refuses is read by `json`.

What Arrow accepts, it reads as `json` does: decision 0007 lists where they differ and how that is kept out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from numpy.typing import NDArray

from collector.model import FieldType
from collector.rows.block import Block
from collector.rows.parse.convert import boolean, finite, integer
from collector.rows.parse.json_shape import Shape, shape_of
from collector.rows.parse.merge import merged
from collector.rows.schema import PARSED_TYPES

PARTS = 16
"""Into so many a block is cut of which a line was refused, so that few lines are read one by one."""

LEAST_PART_ROWS = 64
MOST_DISAPPOINTMENTS = 4
"""After so many blocks that had not the shape of a line of theirs no further one is learnt."""

MOST_BRACKETS = 500
"""Arrow follows nesting of any depth, `json` about a thousand levels: deep lines are for `json`."""

_ODD_NUMBERS = (b"Inf", b"NaN")
"""Arrow reads `Inf`, `json` does not."""

Found = tuple[list[pa.Array], NDArray[np.bool_], NDArray[np.bool_]]
"""A column for each field, whether the row is a JSON object, and whether a value of it has another type."""


class JsonLines:
    """Members of the objects that rows are. Times are read as text."""

    def __init__(self, fields: Sequence[tuple[str, FieldType]]) -> None:
        self._fields = [
            (name, "string" if kind == "timestamp" else kind, kind == "timestamp") for name, kind in fields
        ]
        self._schema = pa.schema([(name, PARSED_TYPES[kind]) for name, kind, _ in self._fields])
        self._shape: Shape | None = None
        self._disappointments = 0

    def extract(self, text: pa.StringArray) -> Found:
        """What has the shape of a line before is read by it, the rest as it is."""
        shaped = self._by_shape(text)
        if shaped is None:
            return self._whole(text)
        columns, accepted = shaped
        if accepted.all():
            return columns, accepted, ~accepted
        others = ~accepted
        rest, matched, failed = self._whole(text.filter(pa.array(others)))
        every, wrong = accepted.copy(), np.zeros(len(text), np.bool_)
        every[others], wrong[others] = matched, failed
        return merged(columns, others, rest), every, wrong

    def _by_shape(self, text: pa.StringArray) -> tuple[list[pa.Array], NDArray[np.bool_]] | None:
        """None where no shape is known, or more than a quarter of the rows have not the one that is. Then the
        first line of the next block gives another, until that has led to nothing too often.
        """
        if self._disappointments >= MOST_DISAPPOINTMENTS or not len(text):
            return None
        # Other threads learn and forget shapes at the same time: this one goes on with what it found.
        shape = self._shape or shape_of(text[0].as_py(), [(name, kind) for name, kind, _ in self._fields])
        self._shape = shape
        found = shape.read(text, self._schema.names) if shape is not None else None
        if found is None or 4 * np.count_nonzero(found[1]) < 3 * len(text):
            self._shape = None
            self._disappointments += 1
            return None
        return found

    def _whole(self, text: pa.StringArray) -> Found:
        columns = self._by_arrow(text)
        if columns is not None:
            return columns, np.ones(len(text), np.bool_), np.zeros(len(text), np.bool_)
        if len(text) <= LEAST_PART_ROWS:
            return self._by_row(text)
        step = -(-len(text) // PARTS)
        parts = [self._part(text.slice(at, step)) for at in range(0, len(text), step)]
        return (
            [pa.concat_arrays(list(each)) for each in zip(*(part[0] for part in parts), strict=True)],
            np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] for part in parts]),
        )

    def _part(self, text: pa.StringArray) -> Found:
        columns = self._by_arrow(text)
        if columns is None:
            return self._by_row(text)
        return columns, np.ones(len(text), np.bool_), np.zeros(len(text), np.bool_)

    def _by_arrow(self, text: pa.StringArray) -> list[pa.Array] | None:
        """None where not each row is just one object as Arrow reads it.

        Each row begins one object, because strings hold no line feed, and between `}` and `{` there is none
        inside an object: so if there are as many objects as rows, each row is one.
        """
        if not _may_be_objects(Block.of(text)):
            return None
        joined = pc.binary_join_element_wise(text, "\n", "")
        data = Block.of(joined).data
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(pa.py_buffer(data)),
                read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
                parse_options=pyarrow.json.ParseOptions(
                    explicit_schema=self._schema, unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            return None
        if len(table) != len(text):
            return None
        columns = [column.combine_chunks() for column in table.columns]
        return columns if all(map(_is_finite, columns)) else None

    def _by_row(self, text: pa.StringArray) -> Found:
        matched = np.ones(len(text), np.bool_)
        failed = np.zeros(len(text), np.bool_)
        values: list[list[Any]] = [[] for _ in self._fields]
        for row, line in enumerate(text.to_pylist()):
            found = _object(line)
            matched[row] = found is not None
            for (name, kind, is_time), column in zip(self._fields, values, strict=True):
                try:
                    column.append(value_of((found or {}).get(name), kind, is_time=is_time))
                except (ValueError, OverflowError):
                    column.append(None)
                    failed[row] = True
        columns = [pa.array(column, kind) for column, kind in zip(values, self._schema.types, strict=True)]
        return columns, matched, failed


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def value_of(value: object, kind: FieldType, *, is_time: bool = False) -> object:
    """A member as a value of `kind`. Text is converted; other types are not, but as text all have their JSON.

    Raises ValueError, OverflowError for what cannot be.
    """
    if value is None:
        return None
    if kind == "string":
        return _text(value, is_time=is_time)
    if isinstance(value, str):
        return None if value in ("", "-") else _of_text(value, kind)
    if kind == "bool" and isinstance(value, bool):
        return value
    if isinstance(value, bool):
        raise ValueError
    if kind == "int64" and isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    if kind == "float64" and isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise ValueError


def _text(value: object, *, is_time: bool) -> str:
    if is_time and not isinstance(value, str):
        raise ValueError
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    text.encode()  # half of a surrogate pair is no text
    return text


def _of_text(text: str, kind: FieldType) -> object:
    if kind == "int64":
        return integer(text)
    return finite(text) if kind == "float64" else boolean(text)


def _is_finite(column: pa.Array) -> bool:
    return not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() in (True, None)


def _may_be_objects(block: Block) -> bool:
    data, bounds = block.data, block.bounds
    if not len(data) or (np.diff(bounds) < 2).any():
        return False
    if (data[bounds[:-1]] != ord("{")).any() or (data[bounds[1:] - 1] != ord("}")).any():
        return False
    return not (any(_holds(data, text) for text in _ODD_NUMBERS) or _is_deep(block))


def _holds(data: NDArray[np.uint8], text: bytes) -> bool:
    """By comparing all bytes: ten times as fast as a regular expression, three times as `bytes.find`."""
    places = max(0, len(data) - len(text) + 1)
    found = data[:places] == text[0]
    for at in range(1, len(text)):
        found &= data[at : at + places] == text[at]
    return bool(found.any())


def _is_deep(block: Block) -> bool:
    longest = int(np.diff(block.bounds).max())
    if longest <= MOST_BRACKETS:
        return False
    opening = np.concatenate([np.flatnonzero(block.data == code) for code in b"{["])
    rows = np.searchsorted(block.bounds, opening, side="right") - 1
    return int(np.bincount(rows).max()) > MOST_BRACKETS

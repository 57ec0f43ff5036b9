"""What `verify` has to say: differences, notes, and a summary of each volume. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from collector.value import value

Kind = Literal[
    "gap",  # bytes that should be there are not
    "twice",  # bytes that are there more than once
    "differs",  # other bytes, or other counts, than the record or the file has
    "extra",  # rows that no span names
    "missing",  # an object that a record or a receipt names
    "incomplete",  # the object of a shard's last record: the next run of the collector completes it
    "damaged",  # a record, receipt or object that cannot be read
    "sequence",  # a shard's records are not dense, or their epochs not in order
    "unnamed",  # an object that no record names
    "receipt",  # a receipt that says something else than the records and objects
    "volume",  # a file on the volume that is not what the destination holds
]


@value
class Difference:
    """One thing that is not as it should be. `start` and `end` are byte offsets in the file, where there
    is one; `key` is the record, object or receipt it was found in.
    """

    kind: Kind
    detail: str
    volume: str = ""
    source: str | None = None
    path: str | None = None
    generation: int | None = None
    start: int | None = None
    end: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        """One line: where, what, how."""
        where = self.volume
        if self.source is not None:
            where += f": {self.source}"
        if self.path is not None:
            where += f"/{self.path}"
        if self.generation:
            where += f" (generation {self.generation})"
        if self.start is not None and self.end is not None:
            where += f" bytes [{self.start}, {self.end})"
        tail = f" ({self.key})" if self.key and self.key not in self.detail else ""
        return f"{self.kind}: {where + ': ' if where else ''}{self.detail}{tail}"


@dataclass(slots=True)
class VolumeSummary:
    """What was looked at in one volume. `lines` counts line feeds, and one more for each unterminated end."""

    volume: str
    shards: int = 0
    records: int = 0
    objects: int = 0
    sources: int = 0
    files: int = 0
    rows: int = 0
    lines: int = 0
    bytes: int = 0
    receipts: int = 0
    lost_bytes: int = 0
    compared_files: int = 0
    compared_bytes: int = 0
    differences: int = 0


@dataclass(slots=True)
class Report:
    """`notes` are worth a line, but no difference."""

    volumes: list[VolumeSummary] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.differences


@value
class Progress:
    """How far `verify` is: objects and source bytes proven, of so many objects."""

    objects: int
    of_objects: int
    bytes: int

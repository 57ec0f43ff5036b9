"""One figure of a run, and what is derived from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bench.process import Cost

MB = 1e6


@dataclass(frozen=True)
class Result:
    """`input_bytes` are those of the files. `limit` names what the case is compared with, `limit_cost` what
    that took over the same bytes; `start_cpu_seconds` are those of a run that finds nothing. `exact`: every
    row and byte was counted in what came out. `stages` are nanoseconds a byte of the
    steps that make up the cost.
    """

    case: str
    program: str
    input_bytes: int
    cost: Cost
    files: int = 1
    out_bytes: int = 0
    exact: bool | None = None
    limit: str = ""
    limit_cost: Cost | None = None
    start_cpu_seconds: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def mb_per_second(self) -> float:
        return self.input_bytes / MB / self.cost.wall_seconds

    @property
    def mb_per_cpu_second(self) -> float:
        return self.input_bytes / MB / self.cost.cpu_seconds

    @property
    def mb_after_start(self) -> float:
        """MB per CPU second without those of the start."""
        return self.input_bytes / MB / (self.cost.cpu_seconds - self.start_cpu_seconds)

    @property
    def ratio_after_start(self) -> float:
        limit = self.limit_cost
        return 0.0 if limit is None else self.mb_after_start * limit.cpu_seconds * MB / self.input_bytes

    @property
    def ratio(self) -> float | None:
        """By CPU seconds: the limit's over those of the case."""
        return None if self.limit_cost is None else self.limit_cost.cpu_seconds / self.cost.cpu_seconds

    @property
    def ratio_by_wall(self) -> float | None:
        return None if self.limit_cost is None else self.limit_cost.wall_seconds / self.cost.wall_seconds

    def as_json(self) -> dict[str, Any]:
        derived = ("mb_per_second", "mb_per_cpu_second", "mb_after_start", "ratio", "ratio_by_wall")
        return asdict(self) | {name: getattr(self, name) for name in derived if self.input_bytes}

"""What `limits.memory` becomes: sizes that hold together, or an error that says what to change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.budget import BASE_BYTES, MIB, MOST_SEALED, plan, share
from collector.errors import ConfigError


@given(
    st.integers(256 * MIB, 4096 * MIB),
    st.integers(1, 8),
    st.sampled_from(["parquet", "ndjson", "raw"]),
    st.integers(1 << 10, 8 * MIB),
    st.integers(64 << 10, 1 << 30),
)
def test_all_fits_into_the_limit(memory, shards, export, max_line_bytes, batch_max_bytes):
    """Interpreter, and for each shard the objects that wait and a dozen times what makes a row group, are
    at most the limit; or it is refused. A line of the greatest length fits into the arena twice.
    """
    own = share(memory, shards)
    try:
        budget = plan(own, export=export, max_line_bytes=max_line_bytes, batch_max_bytes=batch_max_bytes)
    except ConfigError:
        assert 2 * max_line_bytes * 12 + 4 * MIB > own or own < 16 * MIB
        return
    objects = (MOST_SEALED + 1) * budget.object_bytes
    worked_on = max(budget.arena_bytes, budget.encode_bytes * 16 // 11)
    assert BASE_BYTES + shards * (objects + 12 * worked_on) <= memory
    assert budget.arena_bytes >= 2 * max_line_bytes
    assert max(budget.batch_bytes, budget.object_bytes) <= batch_max_bytes


def test_the_default():
    """512 MiB for one shard keep arenas of 3 MiB, row groups of 10 and batches of 64 MiB of lines."""
    budget = plan(share(512 * MIB, 1), export="parquet", max_line_bytes=MIB, batch_max_bytes=64 * MIB)
    assert (budget.arena_bytes // MIB, budget.encode_bytes // MIB) == (3, 10)
    assert budget.batch_bytes == 64 * MIB


def test_too_many_shards():
    """What does not fit is an error that says what to change."""
    with pytest.raises(ConfigError, match="lower max_line_bytes or the number of shards"):
        plan(share(256 * MIB, 8), export="parquet", max_line_bytes=MIB, batch_max_bytes=64 * MIB)

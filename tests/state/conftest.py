from __future__ import annotations

import pytest
from shard_records import Make


@pytest.fixture
def make() -> Make:
    return Make()

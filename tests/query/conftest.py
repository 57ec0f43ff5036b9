from pathlib import Path

import pytest
from export_writer import Export

from collector.sink.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "export"
    root.mkdir()
    return LocalStore(root, url=str(root))


@pytest.fixture
def export(store: LocalStore) -> Export:
    return Export(store)

"""The stores that the contract is tested on."""

from __future__ import annotations

import pytest

from collector.sink.destination import open_store


@pytest.fixture(params=["local", "moto", pytest.param("ceph", marks=pytest.mark.e2e)])
def store_url(request, tmp_path):
    """A new, empty destination of each kind."""
    if request.param == "local":
        return str(tmp_path / "export")
    return request.getfixturevalue({"moto": "s3_url", "ceph": "ceph_url"}[request.param])


@pytest.fixture
def store(store_url):
    store = open_store(store_url)
    store.check()
    yield store
    store.close()

"""One encoder thread for all tests, as a shard has one."""

from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture(scope="session")
def encode_pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool

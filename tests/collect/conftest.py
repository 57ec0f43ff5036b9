from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from collector_process import Collector, Site, Writer
from hindering_proxy import Proxy


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return folder


@pytest.fixture(
    params=["file", "s3", pytest.param("ceph", marks=pytest.mark.e2e)],
)
def to(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty destination of each kind: a folder, S3 over HTTP, and for end-to-end tests Ceph RGW."""
    if request.param == "file":
        return str(tmp_path / "export")
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def site(volume: Path, to: str, tmp_path: Path) -> Site:
    """A collector's volume, destination and state folder; batches are sealed soon, and looks are frequent."""
    return Site(volume, to, tmp_path / "state", ("--batch-max-age", "100ms"))


@pytest.fixture
def local_site(volume: Path, tmp_path: Path) -> Site:
    """As `site`, for what is the same with every destination."""
    return Site(volume, str(tmp_path / "export"), tmp_path / "state", ("--batch-max-age", "100ms"))


@pytest.fixture
def start() -> Iterator[Callable[..., Collector]]:
    """Starts collectors: `start(site, *options)`. None outlives its test."""
    with ExitStack() as stack:

        def started(site: Site, *options: str, prefix: tuple[str, ...] = ()) -> Collector:
            collector = Collector(site, *options, prefix=prefix)
            stack.callback(collector.abandon)
            return collector

        yield started


@pytest.fixture
def write() -> Iterator[Callable[..., Writer]]:
    """Starts Jobs that write: `write(volume, tag, lines_per_second)`. None outlives its test."""
    with ExitStack() as stack:

        def started(volume: Path, tag: str = "w", lines_per_second: float = 2000) -> Writer:
            writer = Writer(volume, tag, lines_per_second)
            stack.callback(writer.abandon)
            return writer

        yield started


@dataclass(frozen=True)
class Hindered:
    """A site whose S3 destination can be stopped at any request. `direct` is the same without the proxy."""

    site: Site
    direct: Site
    proxy: Proxy


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.e2e)])
def hindered(
    request: pytest.FixtureRequest, volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hindered]:
    endpoint = request.getfixturevalue(request.param)
    endpoint.use(monkeypatch)
    to = endpoint.store_url(endpoint.new_bucket())
    proxy = Proxy(endpoint.url)
    direct = Site(volume, to, tmp_path / "state", ("--batch-max-age", "100ms"))
    yield Hindered(replace(direct, to=to.replace(endpoint.url, proxy.url)), direct, proxy)
    proxy.close()

"""Looks at sources, several at once where each is a round trip, and as briefly as will do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from collector.intake.discover import Discovery, Look
from collector.intake.mounts import has_directory_times, shared_type
from collector.intake.track import TrackedSource

THREADS = 8
"""That look at once on a network file system, where a look is waiting for a server."""


LONGEST_UNSEEN_SECONDS = 600.0
"""A source is looked into so often at least, whatever its times say."""

FEW = 8
"""Sources that are asked about together on a local file system, where that takes less than a millisecond."""


class AsItWas:
    """Nothing changed since the last look."""


AS_IT_WAS = AsItWas()
Glance = Look | None | OSError | AsItWas
"""What a source holds; None where its directory is gone; why it cannot be told; or that nothing changed."""


class Looker:
    def __init__(self, discovery: Discovery, *, trusts_mtimes: bool = False, threads: int = 1) -> None:
        """`trusts_mtimes`: a directory's mtime moves whenever an entry comes or goes."""
        self._discovery = discovery
        self.trusts_mtimes = trusts_mtimes
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="joblog-look") if threads > 1 else None
        self.most = 4 * threads if threads > 1 else FEW
        """How many sources to ask about at once."""

    @classmethod
    def on(cls, volume: Path, discovery: Discovery) -> Looker:
        """As the volume's file system asks for."""
        threads = 1 if shared_type(volume) is None else THREADS
        return cls(discovery, trusts_mtimes=has_directory_times(volume), threads=threads)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def glances(self, sources: Sequence[TrackedSource], seconds: float, *, fully: bool) -> list[Glance]:
        """One for each; `fully` where somebody asks for a look, so that none will do that tells less."""
        if self._pool is None or len(sources) == 1:
            return [self._glance(source, seconds, fully=fully) for source in sources]
        return list(self._pool.map(lambda source: self._glance(source, seconds, fully=fully), sources))

    def _glance(self, source: TrackedSource, seconds: float, *, fully: bool) -> Glance:
        try:
            if not fully and self._is_as_it_was(source, seconds):
                return AS_IT_WAS
            return self._discovery.look(source.directory)
        except OSError as error:
            return error

    def _is_as_it_was(self, source: TrackedSource, seconds: float) -> bool:
        """Whether the directory's mtime, and of a source that is not finished those of its files, say that
        another look would tell nothing.
        """
        if (
            source.unsettled
            or not source.is_steady
            or seconds >= source.looked_into_at + LONGEST_UNSEEN_SECONDS
        ):
            return False
        if source.finished:
            return self._discovery.mtime_ns(source.directory) == source.mtime_ns
        if not self.trusts_mtimes or source.finish_by or source.is_deep or source.error or source.missing:
            return False
        files = source.files.values()
        if any(tracked.missing or tracked.retry_at for tracked in files):
            return False
        return self._discovery.is_as_it_was(source.directory, source.mtime_ns, files)

"""Assembles the collector, runs each shard on a thread of its own, and brings all down in order."""

from __future__ import annotations

import os
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

from collector import __version__
from collector.assembly import Assembly, Task, open_ground
from collector.budget import share
from collector.config_sections import Config
from collector.errors import ConfigError, JoblogError
from collector.events import CollectorFailed, Emit, Event, HttpUnavailable
from collector.intake.read import raise_open_files_limit
from collector.logs import configure, log_event
from collector.model import Owner
from collector.pace import Pace
from collector.pipeline import Clock
from collector.retention import Outlook
from collector.shard import DRAIN_SECONDS, Shard, overdue
from collector.signals import ending
from collector.sink.destination import open_store
from collector.sink.retry import Retrying, RetryPolicy
from collector.sink.store import Store
from collector.status import ShardStatus

if TYPE_CHECKING:
    from collector.web.metrics import Metrics

ONCE_POLICY = RetryPolicy(attempts=8, first_seconds=0.5, longest_seconds=10)
ENDLESS_POLICY = RetryPolicy(attempts=None, first_seconds=0.5, longest_seconds=30)

SPARE_FILES = 128
"""Descriptors that are not log files: sockets, state, directories while they are listed."""

SPARE_SECONDS = 2.0
"""Beyond the time for draining, for shards that end by themselves."""

LOOK_EVERY_SECONDS = 0.5

CLOCK = Clock(wall=time.time, monotonic=time.monotonic)


def run(
    config: Config,
    *,
    once: bool,
    complete: bool,
    log_format: str,
    log_level: str,
    abandon: Callable[[BaseException], NoReturn],
) -> int:
    """Collects until told to stop, or with `once` until all that is there is committed. Returns the
    exit code. Raises JoblogError for what went wrong first.

    `abandon` tells an error and ends the process at once, whatever its threads wait for.
    """
    configure(log_format, log_level, sys.stderr)
    metrics = _metrics(config)
    emit = log_event if metrics is None else _both(metrics, log_event)
    config = _within_open_files(config)
    store = open_store(config.to)
    shards = [Shard(task, store, emit) for task in _tasks(config, once=once, complete=complete)]
    store.check()
    service = Service(shards, emit, abandon)
    try:
        with ending(service.stop), _web_server(config, service, metrics, emit):
            return service.run()
    finally:
        store.close()


def _metrics(config: Config) -> Metrics | None:
    """None where nobody could ask for them."""
    if config.http is None:
        return None
    from collector.web.metrics import Metrics  # noqa: PLC0415 - slow to import; `--once` serves nothing

    return Metrics()


def _both(first: Emit, second: Emit) -> Emit:
    def emit(event: Event) -> None:
        first(event)
        second(event)

    return emit


def outlook(config: Config) -> Iterator[tuple[Task, list[Outlook]]]:
    """What retention would do now, shard by shard. Takes no shard and writes nothing. Raises JoblogError."""
    store = open_store(config.to)
    try:
        for task in _tasks(_within_open_files(config), once=True, complete=False):
            if task.volume.retention is not None:
                yield task, _outlook(task, store)
    finally:
        store.close()


def _outlook(task: Task, store: Store) -> list[Outlook]:
    give_up = threading.Event()
    ground = open_ground(task)
    with ExitStack() as stack:
        stack.callback(ground.volume.close)
        retrying = Retrying(store, policy=task.policy, emit=log_event, random=task.random, stop=give_up)
        assembly = Assembly(
            task,
            ground,
            retrying,
            stack=stack,
            pace=Pace(task.clock.monotonic, task.config.batch.max_age_seconds),
            give_up=give_up.set,
            emit=log_event,
        )
        return assembly.outlook()


class Service:
    """The shards of one process. What one cannot go on after stops all: half a collector misleads."""

    def __init__(
        self, shards: Sequence[Shard], emit: Emit, abandon: Callable[[BaseException], NoReturn]
    ) -> None:
        self._shards = shards
        self._emit = emit
        self._abandon = abandon
        self._end_at = float("inf")
        self._codes: list[int] = []
        self._errors: list[BaseException] = []

    def run(self) -> int:
        """Returns the highest exit code of the shards; raises the error of the one that failed first."""
        threads = [
            threading.Thread(target=self._run, args=(shard,), name="joblog-shard") for shard in self._shards
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            self._join(thread)
        if self._errors:
            raise self._errors[0]
        return max(self._codes)

    def stop(self) -> None:
        self._end_at = min(self._end_at, CLOCK.monotonic() + DRAIN_SECONDS + SPARE_SECONDS)
        for shard in self._shards:
            shard.stop()

    def statuses(self) -> list[ShardStatus]:
        return [shard.status() for shard in self._shards]

    def _join(self, thread: threading.Thread) -> None:
        """Waits for a shard; once all were told to stop, not for longer than they may take. What a thread
        asked the destination cannot be called back, and may be answered in a minute: too late.
        """
        while thread.is_alive():
            thread.join(LOOK_EVERY_SECONDS)
            if CLOCK.monotonic() > self._end_at:
                self._abandon(self._errors[0] if self._errors else overdue())

    def _run(self, shard: Shard) -> None:
        try:
            self._codes.append(shard.run())
        except BaseException as error:  # noqa: BLE001  # raised again by `run`, on the main thread
            self._errors.append(error)
            status = shard.status()
            self._emit(CollectorFailed(status.volume, status.shard, _words(error)))
            self.stop()


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, JoblogError) else f"{type(error).__name__}: {error}"


def _tasks(config: Config, *, once: bool, complete: bool) -> Iterator[Task]:
    owner = Owner(secrets.token_hex(8), socket.gethostname(), os.getpid(), __version__)
    memory_bytes = share(config.limits.memory_bytes, len(config.volumes) * config.shards)
    for volume in config.volumes:
        for shard in range(config.shards):
            yield Task(
                config=config,
                volume=volume,
                shard=shard,
                memory_bytes=memory_bytes,
                once=once,
                complete=complete,
                owner=owner,
                policy=ONCE_POLICY if once else ENDLESS_POLICY,
                clock=CLOCK,
                random=random.random,
            )


def _within_open_files(config: Config) -> Config:
    """`limits.open_files` for each shard, within what the process may open at all."""
    shards = len(config.volumes) * config.shards
    most = min(config.limits.open_files, raise_open_files_limit() - SPARE_FILES) // shards
    if most < 1:
        raise ConfigError(
            f"limits.open_files: {shards} shards need more open files than this process may have",
            hint="raise the limit (ulimit -n) or lower shards",
        )
    return replace(config, limits=replace(config.limits, open_files=most))


@contextmanager
def _web_server(config: Config, service: Service, metrics: Metrics | None, emit: Emit) -> Iterator[None]:
    """Serves while the collector runs. A default port that is taken is a log line, a configured one an
    error.
    """
    if config.http is None or metrics is None:
        yield
        return
    from collector.web.server import WebServer  # noqa: PLC0415 - see _metrics

    server = WebServer(config.http, service.statuses, metrics, lambda: datetime.now(UTC))
    try:
        server.start()
    except ConfigError as error:
        if not config.http_is_default:
            raise
        emit(HttpUnavailable(config.http, error.message))
    try:
        yield
    finally:
        server.stop()

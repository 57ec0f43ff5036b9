"""What `joblog check` looks at before a deploy: all that a collector needs, tried as far as is harmless.

Each look gives findings and never ends the others. What it leaves behind: the state folder, and one
small object in the destination, whose second put shows whether create-only puts are honoured.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal

from collector.budget import plan, share
from collector.config_sections import Config, VolumeConfig
from collector.errors import ConfigError, ExportDamaged, JoblogError, StateLocked, VolumeError
from collector.events import Event, WatchLimited
from collector.intake.discover import Discovery, SourceDir
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.mounts import choose, file_system_type
from collector.intake.removal import expect_deletable, may_delete
from collector.intake.volume import Volume, close
from collector.intake.watch import Watch
from collector.retention import UNJUDGED
from collector.sink.destination import open_store
from collector.sink.ledger import WEAKENS
from collector.sink.store import Store
from collector.state.disk import state_errors, write_whole
from collector.state.folder import StateFolder
from collector.value import value

Verdict = Literal["ok", "warn", "fail"]

CHECK_KEY = "_joblog/check.json"
CHECK_BODY = b'{"format":1,"kind":"check"}'
MOST_DIRECTORIES = 200
OTHER_FILES = 128
"""Descriptors that a collector needs besides those of log files."""


@value
class Finding:
    """What was looked at, what was found, and what to do. `exit_code` is 0 unless it failed."""

    check: str
    verdict: Verdict
    detail: str
    hint: str = ""
    exit_code: int = 0


def failure(check: str, error: JoblogError) -> Finding:
    return Finding(check, "fail", error.message, error.hint, error.exit_code)


def examine(config: Config) -> Iterator[Finding]:
    """All findings, in the order in which a collector would meet them."""
    for volume in config.volumes:
        yield from _volume(volume)
    yield _destination(config.to)
    yield _state(config)
    yield _open_files(config.limits.open_files)
    yield _memory(config)


def _volume(settings: VolumeConfig) -> Iterator[Finding]:
    try:
        volume = Volume(settings.path)
    except VolumeError as error:
        yield failure(f"volume {settings.name}", error)
        return
    try:
        yield from _volume_contents(volume, settings)
    finally:
        volume.close()


def _volume_contents(volume: Volume, settings: VolumeConfig) -> Iterator[Finding]:
    layout = Layout.parse(settings.layout)
    try:
        walk = _Walk(volume, layout.source_depth)
        directories = list(islice(walk.directories(()), MOST_DIRECTORIES))
    except OSError as error:
        problem = VolumeError(
            f"volume {settings.path}: cannot be listed: {os.strerror(error.errno or 0)}",
            hint="let the user that runs joblog read it",
        )
        yield failure(f"volume {settings.name}", problem)
        return
    yield _readable(settings, directories, walk.unreadable)
    yield _layout(settings.name, layout, directories)
    yield _watch(settings)
    if settings.retention is not None:
        yield _retention(volume, settings, directories, layout)


def _retention(
    volume: Volume, settings: VolumeConfig, directories: Sequence[tuple[str, ...]], layout: Layout
) -> Finding:
    check = f"retention {settings.name}"
    sources = [SourceDir("/".join(parts), flat=False) for parts in directories]
    try:
        expect_deletable(volume, sources, in_root=layout.source_depth == 1)
        total, free = volume.space()
    except VolumeError as error:
        return failure(check, error)
    except OSError as error:
        return failure(check, VolumeError(f"volume {settings.path}: {os.strerror(error.errno or 0)}"))
    if settings.retention and settings.retention.free_space and not total:
        return Finding(check, "warn", UNJUDGED, "use delete_after")
    left = [each for each in sources if not may_delete(volume, each)]
    if left:
        what = f"this user may not delete in {_number(left)}"
        return Finding(check, "warn", what, "let the user or a group of joblog write there")
    return Finding(check, "ok", f"this user may delete; {free >> 20} of {total >> 20} MiB are free")


class _Walk:
    """The directories that stand where a layout has its sources, and how many could not be looked into."""

    def __init__(self, volume: Volume, depth: int) -> None:
        self.unreadable = 0
        self._volume = volume
        self._depth = depth

    def directories(self, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Raises OSError where the root itself cannot be listed."""
        for name in self._names(above):
            parts = (*above, name)
            if not self._can_read(parts):
                self.unreadable += 1
            if len(parts) == self._depth:
                yield parts
            elif self._can_read(parts):
                yield from self.directories(parts)

    def _names(self, parts: Sequence[str]) -> list[str]:
        directory = self._volume.open_directory(parts)
        try:
            with os.scandir(directory) as entries:
                found = [
                    entry.name for entry in islice(entries, MOST_DIRECTORIES * 10) if _is_directory(entry)
                ]
        finally:
            close(directory)
        return sorted(found)

    def _can_read(self, parts: Sequence[str]) -> bool:
        try:
            close(self._volume.open_directory(parts))
        except OSError:
            return False
        return True


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _readable(settings: VolumeConfig, directories: Sequence[tuple[str, ...]], unreadable: int) -> Finding:
    what = f"{settings.path}: {_number(directories)} found"
    if unreadable:
        hint = (
            "let the user or a group of joblog read what Jobs write: see runAsUser and fsGroup of both Pods"
        )
        return Finding(f"volume {settings.name}", "warn", f"{what}; {unreadable} cannot be read", hint)
    return Finding(f"volume {settings.name}", "ok", what)


def _number(directories: Sequence[object]) -> str:
    count = len(directories)
    return f"{count}{' or more' if count == MOST_DIRECTORIES else ''} director{'y' if count == 1 else 'ies'}"


def _layout(name: str, layout: Layout, directories: Sequence[tuple[str, ...]]) -> Finding:
    check = f"layout {name}"
    origins = [layout.origin(parts) for parts in directories]
    others = [origin.source for origin in origins if not origin.matched]
    if not origins:
        return Finding(check, "ok", f'"{layout.text}" is a layout; there is no directory yet to try it on')
    detail = f'"{layout.text}" matches {len(origins) - len(others)} of {_number(origins)}'
    if others:
        hint = f"{others[0]}, for one, would be collected without metadata: try `joblog layout`"
        return Finding(check, "warn", detail, hint)
    return Finding(check, "ok", detail)


def _watch(settings: VolumeConfig) -> Finding:
    check = f"watch {settings.name}"
    kind = file_system_type(settings.path)
    way, why = choose(settings.path, settings.watch)
    polled = f"polled every {settings.poll_interval_seconds:g}s"
    if way == "poll":
        return Finding(check, "ok", f"{kind}: {polled}: {why}")
    if choose(settings.path, "auto")[0] == "poll":
        detail = f"{kind} does not tell what other nodes write; {polled} as well"
        return Finding(check, "warn", detail, "write watch: auto or watch: poll")
    limits = _limits_of_notification(settings)
    if limits:
        return Finding(check, "warn", f"{kind}: notification fails; {polled}", "; ".join(limits))
    return Finding(check, "ok", f"{kind}: notification works; {polled} as well")


def _limits_of_notification(settings: VolumeConfig) -> list[str]:
    """Why the kernel gives no notification for the volume; empty where it does."""
    limits: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, WatchLimited):
            limits.append(event.why)

    volume = Volume(settings.path)
    discovery = Discovery(
        volume,
        Layout.parse(settings.layout),
        Selection(settings.include, settings.exclude),
        tombstone=settings.tombstone,
        shard=0,
        shards=1,
    )
    watch = Watch(volume, settings.name, discovery, grew=_nothing, hurry=_nothing, emit=note)
    watch.enter(())
    watch.close()
    return limits


def _nothing() -> None:
    """Nobody waits for hints here."""


def _destination(url: str) -> Finding:
    try:
        store = open_store(url)
        try:
            store.check()
            honoured = _create_only(store)
        finally:
            store.close()
    except JoblogError as error:
        return failure("destination", error)
    if not honoured:
        return Finding(
            "destination", "warn", f"{url}: {WEAKENS}", "use a store with conditional puts if you can"
        )
    return Finding("destination", "ok", f"{url}: can be listed, written and read; create-only puts work")


def _create_only(store: Store) -> bool:
    """Whether a second put of a key is refused. Raises a StoreError where the destination cannot be used."""
    store.put_new(CHECK_KEY, CHECK_BODY)
    refused = not store.put_new(CHECK_KEY, CHECK_BODY)
    if store.get(CHECK_KEY) != CHECK_BODY:
        raise ExportDamaged(
            f"{store.url}: {CHECK_KEY} is not what was written", hint="see who else writes there"
        )
    return refused


def _state(config: Config) -> Finding:
    try:
        with state_errors(config.state):
            config.state.mkdir(parents=True, exist_ok=True)
            trial = config.state / f".check-{os.getpid()}"
            try:
                write_whole(trial, [CHECK_BODY])
            finally:
                trial.unlink(missing_ok=True)
        for volume in config.volumes:
            for shard in range(config.shards):
                _expect_free(StateFolder(config.state, volume.name, shard))
    except JoblogError as error:
        return failure("state", error)
    return Finding("state", "ok", f"{config.state}: can be written durably, and nobody holds it")


def _expect_free(folder: StateFolder) -> None:
    holder = folder.holder()
    if holder is not None:
        raise StateLocked(
            f"{folder.path} is in use by {holder}",
            hint="one collector has a state folder: stop that one, or name another folder with --state",
        )


def _open_files(wanted: int) -> Finding:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # a collector raises the soft limit to it
    detail = f"limits.open_files is {wanted}; the system allows {hard}"
    if hard < wanted + OTHER_FILES:
        hint = f"raise the hard limit (ulimit -Hn) to {wanted + OTHER_FILES}, or lower limits.open_files"
        return Finding("open files", "warn", detail, hint)
    return Finding("open files", "ok", detail)


def _memory(config: Config) -> Finding:
    """What of `batch.max_bytes` the memory allows."""
    share_bytes = share(config.limits.memory_bytes, len(config.volumes) * config.shards)
    longest = max(volume.max_line_bytes for volume in config.volumes)
    try:
        budget = plan(
            share_bytes,
            export=config.format,
            max_line_bytes=longest,
            batch_max_bytes=config.batch.max_bytes,
        )
    except ConfigError as error:
        return failure("memory", error)
    wanted, batch = config.batch.max_bytes >> 20, budget.batch_bytes >> 20
    detail = f"limits.memory is {config.limits.memory_bytes >> 20}MiB: batches of up to {batch}MiB"
    if budget.batch_bytes < config.batch.max_bytes:
        hint = f"batch.max_bytes is {wanted}MiB: lower it to {batch}MiB, or raise limits.memory"
        return Finding("memory", "warn", detail, hint)
    return Finding("memory", "ok", detail)

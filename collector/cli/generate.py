"""`joblog generate`: log lines to a stream or a rotated file, or whole Jobs on a shared tree."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click
from click.decorators import FC

from collector.generate.files import RotatedFile, write_all
from collector.generate.jobs import play
from collector.generate.lines import SEEDED_START, Lines, LogType
from collector.generate.pace import steps
from collector.generate.specs import specs
from collector.signals import End, ending
from collector.units import size_bytes

Clock = Callable[[], datetime]

STDOUT, STDERR = 1, 2
LARGEST_RECORD_BYTES = 64 << 20


def _size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    try:
        size = size_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if size < 1:
        raise click.BadParameter("should be at least 1 byte")
    return size


def _truth(name: str, default: bool, help_text: str) -> Callable[[FC], FC]:
    """`--name`, `--name=true`, `--name false`."""
    return click.option(
        name, type=bool, is_flag=False, flag_value=True, default=default, show_default=True, help=help_text
    )


@click.command()
@click.option(
    "--log-type",
    type=click.Choice(get_args(LogType)),
    default="java",
    show_default=True,
    help="Kind of lines.",
)
@_truth("--stdout", True, "Write to stdout.")
@_truth("--stderr", False, "Write to stderr.")
@click.option("--path", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
@click.option(
    "--total-count",
    type=int,
    metavar="N",
    help="How many records; 0, or none given: until SIGTERM. With --jobs: of each Job, of instant ones 3.",
)
@click.option(
    "--logs-per-sec",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Records a second; 0: as fast as possible. [default: 1; with --jobs, of each Job: 0]",
)
@click.option(
    "--log-file-size",
    callback=_size,
    default="20MiB",
    show_default=True,
    metavar="BYTES",
    help="Rotate --path, by rename, before it grows over this.",
)
@click.option(
    "--log-file-count",
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="How many rotated files are kept.",
)
@click.option(
    "--item-length",
    type=click.IntRange(0, 1 << 20),
    default=100,
    show_default=True,
    help="json, random: length of each value.",
)
@click.option(
    "--key-count",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="json, random: number of keys.",
)
@click.option("--seed", type=int, help="The same bytes each time; times are then counted from 2026-01-01.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Play N Jobs on the tree --root.")
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), help="With --jobs: the root of the volume."
)
@click.option(
    "--layout", default="subpath", show_default=True, help="With --jobs: how directories are named."
)
@click.option(
    "--tombstone/--no-tombstone",
    default=True,
    help="With --jobs: say in a file that a Job is done. [default: yes]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="With --jobs: how many run at once.",
)
@click.option(
    "--jobs-per-sec",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="With --jobs: how many start a second; 0: as many as there is room for.",
)
@click.option(
    "--bytes-per-job",
    callback=_size,
    default="20KiB",
    show_default=True,
    metavar="SIZE",
    help="With --jobs, and no --total-count: about how much each writes.",
)
def generate(
    *,
    log_type: LogType,
    stdout: bool,
    stderr: bool,
    path: Path | None,
    total_count: int | None,
    logs_per_sec: float | None,
    log_file_size: int,
    log_file_count: int,
    item_length: int,
    key_count: int,
    seed: int | None,
    jobs: int | None,
    root: Path | None,
    layout: str,
    tombstone: bool,
    concurrency: int,
    jobs_per_sec: float,
    bytes_per_job: int,
) -> None:
    """Generate logs, for tests.

    Each record has a sequence number, so that none can be missing or be there twice unnoticed.
    """
    if item_length * key_count > LARGEST_RECORD_BYTES:
        raise click.UsageError("--item-length times --key-count is more than 64MiB: make one smaller")
    total = total_count if total_count and total_count > 0 else None
    if jobs is None and root is None:
        log = Lines(log_type, seed=_seed(seed), item_length=item_length, key_count=key_count)
        rotation = None if path is None else RotatedFile(path, size_bytes=log_file_size, count=log_file_count)
        streams = [STDOUT] * stdout + [STDERR] * stderr
        if not streams and rotation is None:
            raise click.UsageError("nowhere to write: give --path, or --stdout or --stderr")
        rate = 1.0 if logs_per_sec is None else logs_per_sec
        _write(log, streams, rotation, total=total, rate=rate, clock=_clock(seed))
        return
    if jobs is None or root is None or path is not None:
        raise click.UsageError("--jobs and --root go together, and without --path")
    lines = total or Lines(log_type, item_length=item_length, key_count=key_count).count_for(bytes_per_job)
    wanted = specs(
        jobs,
        seed=_seed(seed),
        now=datetime.now(UTC) if seed is None else SEEDED_START,
        lines=lines,
        rate=logs_per_sec or 0,
        log_type=log_type,
    )
    end = End()
    with ending(end.set):
        played = play(
            root,
            jobs=[replace(spec, item_length=item_length, key_count=key_count) for spec in wanted],
            layout=layout,
            clock=_clock(seed),
            monotonic=time.monotonic,
            sleep=end.wait,
            stopped=end.is_set,
            concurrency=concurrency,
            jobs_per_second=jobs_per_sec,
            tombstone=tombstone,
        )
    line_count, byte_count = sum(job.lines for job in played), sum(job.bytes for job in played)
    click.echo(f"{len(played)} Jobs wrote {line_count} lines, {byte_count} bytes, in {root}")


def _seed(seed: int | None) -> int:
    return secrets.randbits(32) if seed is None else seed


def _clock(seed: int | None) -> Clock | None:
    """The wall clock; none where the same seed is to give the same bytes."""
    return (lambda: datetime.now(UTC)) if seed is None else None


def _write(
    log: Lines,
    streams: Sequence[int],
    rotation: RotatedFile | None,
    *,
    total: int | None,
    rate: float,
    clock: Clock | None,
) -> None:
    end = End()
    with ExitStack() as stack:
        stack.enter_context(ending(end.set))
        if rotation:
            stack.callback(rotation.close)
        for first, count in steps(
            total, rate, log.bulk, monotonic=time.monotonic, sleep=end.wait, stopped=end.is_set
        ):
            block = log.block(first, count, clock() if clock else None)
            for stream in streams:
                write_all(stream, block)
            if rotation:
                rotation.write(block)

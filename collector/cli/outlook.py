"""`joblog run --dry-run`: what retention would delete now, what it would not, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from collector.config_sections import Config
from collector.errors import UsageError
from collector.logs import configure
from collector.service import outlook
from collector.terminal import printable
from collector.value import value


@value
class Row:
    """`receipt` is its key, null where there is none; `why` is the reason for, or against, deleting it."""

    volume: str
    source: str
    receipt: str | None
    revision: int
    files: int
    bytes: int
    delete: bool
    why: str


def show(config: Config, output: str, log_format: str, log_level: str) -> int:
    """Prints it and returns the exit code. Raises JoblogError."""
    if all(volume.retention is None for volume in config.volumes):
        raise UsageError(
            "--dry-run shows what retention would delete, and none is configured",
            hint="set volumes[].retention in the file of --config",
        )
    configure(log_format, log_level, sys.stderr)
    rows = [
        Row(
            volume=task.volume.name,
            source=each.source,
            receipt=each.key or None,
            revision=each.revision,
            files=each.files,
            bytes=each.bytes,
            delete=each.deletes,
            why=each.why,
        )
        for task, found in outlook(config)
        for each in found
    ]
    if output == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows)
    return 0


def _print(rows: Sequence[Row]) -> None:
    for row in rows:
        verdict = "delete" if row.delete else "keep"
        receipt = f"receipt {row.revision}" if row.receipt else "no receipt"
        what = f"{row.volume}  {row.source}  {receipt}  {row.files} files  {row.bytes} bytes"
        click.echo(f"{verdict:<6}  {printable(what)}  {printable(row.why)}")
    doomed = [row for row in rows if row.delete]
    files, size = sum(row.files for row in doomed), sum(row.bytes for row in doomed)
    click.echo(f"{len(doomed)} of {len(rows)} sources would be deleted: {files} files, {size} bytes")

"""`joblog status`: what a running collector says of itself, asked over HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.cli.options import output_option
from collector.config_sections import DEFAULT_HTTP
from collector.errors import Incomplete
from collector.json_text import Unfit, decoded, indented
from collector.status import ShardStatus
from collector.terminal import printable
from collector.web.address import Address

TIMEOUT_SECONDS = 5.0
LARGEST_ANSWER_BYTES = 16 << 20


@click.command()
@click.option(
    "--http",
    "address",
    default=DEFAULT_HTTP,
    show_default=True,
    metavar="HOST:PORT",
    envvar="JOBLOG_HTTP",
    show_envvar=True,
    help="Where the collector listens.",
)
@output_option
def status(address: str, output: str) -> None:
    """Show what a running collector does now."""
    statuses = _ask(Address.parse(address))
    if output == "json":
        click.echo(indented(statuses, 2))
    else:
        _show(statuses, datetime.now(UTC))


def _ask(address: Address) -> list[ShardStatus]:
    """Raises Incomplete where no collector answers."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/api/status")
        answer = connection.getresponse()
        body = answer.read(LARGEST_ANSWER_BYTES)
        if answer.status != HTTPStatus.OK:
            raise http.client.HTTPException
        return decoded(list[ShardStatus], body)
    except OSError as error:
        raise Incomplete(
            f"no collector answers at {address}: {error.strerror or error}",
            hint="start one with `joblog run`, or name its address with --http",
        ) from None
    except (http.client.HTTPException, Unfit):
        raise Incomplete(
            f"what answers at {address} is not a collector, or it has failed",
            hint="name the collector's address with --http, or look at its log",
        ) from None
    finally:
        connection.close()


def _show(statuses: Sequence[ShardStatus], now: datetime) -> None:
    """A table on a terminal; in a pipe the same columns, whole, with two spaces between them."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1_000
    if not statuses:
        console.print("starting: there is no shard yet")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, no_wrap=not console.is_terminal, overflow="fold")
    for one in statuses:
        table.add_row(*(Text(printable(cell)) for cell in _row(one, now)))
    console.print(table)
    for one in statuses:
        console.print(Text(printable(_finding(one))), soft_wrap=True)
        for lost in one.lost_sources:
            reasons = ", ".join(f"{why} {count} bytes" for why, count in sorted(lost.lost_bytes.items()))
            console.print(Text(printable(f"lost in {one.volume}: {lost.source}: {reasons}")), soft_wrap=True)


_COLUMNS = ("VOLUME", "SHARD", "STATE", "SOURCES", "FILES", "BACKLOG", "ROWS", "LAST COMMIT", "LOST", "TO")


def _row(one: ShardStatus, now: datetime) -> tuple[str, ...]:
    unreadable = f" ({_size(one.unreadable_bytes)} unreadable)" if one.unreadable_bytes else ""
    not_ready = "" if one.ready else f" (not ready: {one.reason})"
    return (
        one.volume,
        str(one.shard),
        one.state + not_ready,
        f"{one.sources} ({one.sources_finished} finished)",
        str(one.files),
        _size(one.backlog_bytes) + unreadable,
        str(one.committed_rows),
        _ago(one.last_commit_at, now),
        _size(sum(one.lost_bytes.values())),
        one.to,
    )


def _finding(one: ShardStatus) -> str:
    """How new files are found, and how soon."""
    told = [f"watch of {one.volume}: {one.watch} ({one.watch_reason})"] if one.watch else []
    if one.watched_directories is not None:
        told.append(f"{one.watched_directories} directories watched")
    told.append(f"last scan {one.last_scan_seconds:.3f} s")
    if one.discovery_seconds is not None:
        found = one.discovery_seconds
        told.append(f"new files read after {found.p50:.3f} s (p50), {found.p99:.3f} s (p99)")
    waiting = one.files_waiting
    told.append(
        f"files waiting: {waiting.turn} to be read, {waiting.line} for a line, {waiting.retry} to retry"
    )
    return "; ".join(told)


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _ago(at: datetime | None, now: datetime) -> str:
    return "never" if at is None else f"{timedelta(seconds=max(0, round((now - at).total_seconds())))} ago"

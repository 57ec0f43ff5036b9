"""`joblog checkpoints` and `joblog explain`: what the state folder knows, and mending it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import click

from collector import __version__
from collector.cli.options import config_option, destination_option, output_option, store_from
from collector.cli.settings import settings_from
from collector.config_sections import DEFAULT_STATE
from collector.errors import Incomplete, StateError, UsageError
from collector.events import Event
from collector.explain import explain as explain_path
from collector.explain import lines
from collector.json_text import indented
from collector.model import FileCheckpoint, Owner, SourceCheckpoint
from collector.records import COMMITS, SHARD_DIGITS
from collector.sink.ledger import Ledger
from collector.sink.store import Store
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder, state_folders
from collector.terminal import printable
from collector.value import value

_NAMED = re.compile(r"(?P<volume>[A-Za-z0-9][A-Za-z0-9._-]{0,62})(?:/(?P<shard>[0-9]{1,3}))?")
_NO_DESTINATION = "."

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    envvar="JOBLOG_STATE",
    show_envvar=True,
    help=f"The state folder; else that of --config, else {DEFAULT_STATE}.",
)
name_argument = click.argument("name", metavar="NAME[/SSS]")


@value
class ShardRow:
    """A line of `checkpoints ls`. `held_by` is None where no collector runs on the folder; `damage` says
    why it cannot be read.
    """

    volume: str
    shard: int
    sequence: int | None
    epoch: int | None
    sources: int | None
    files: int | None
    held_by: str | None
    damage: str | None = None


@value
class ShardContent:
    """What `checkpoints show` tells of one shard."""

    volume: str
    shard: int
    sequence: int
    epoch: int
    unfinished: int | None
    held_by: str | None
    sources: tuple[SourceCheckpoint, ...]
    files: tuple[FileCheckpoint, ...]


@click.group()
def checkpoints() -> None:
    """Read and mend checkpoint files: how far each file is committed."""


@checkpoints.command()
@state_option
@config_option
@output_option
def ls(state: Path | None, config: Path | None, output: str) -> int:
    """List volumes and shards: how far, and held by whom.

    Exits with 4 if one of them cannot be read.
    """
    rows = [_shard_row(folder) for folder in state_folders(_state_root(state, config))]
    if output == "json":
        click.echo(indented(rows, 2))
    else:
        _table(
            ("VOLUME", "SHARD", "SEQUENCE", "EPOCH", "SOURCES", "FILES", "HELD BY"),
            [
                (row.volume, _digits(row.shard), row.sequence, row.epoch, row.sources, row.files, row.held_by)
                for row in rows
            ],
        )
        for row in rows:
            if row.damage:
                click.echo(f"joblog: {printable(row.damage)}", err=True)
    return StateError.exit_code if any(row.damage for row in rows) else 0


@checkpoints.command()
@name_argument
@click.argument("source", required=False)
@state_option
@config_option
@output_option
def show(name: str, source: str | None, state: Path | None, config: Path | None, output: str) -> None:
    """Show files and their offsets: of a volume, a shard, or one SOURCE.

    Exits with 1 if there is no such volume, shard or source.
    """
    folders = _chosen(_state_root(state, config), name)
    contents = [content for folder in folders if (content := _content(folder, source)) is not None]
    if not contents or (source is not None and not any(content.sources for content in contents)):
        what = f"{name} {source}" if source else name
        raise Incomplete(
            f"there is no checkpoint of {what}", hint="`joblog checkpoints ls` lists what there is"
        )
    if output == "json":
        click.echo(indented(contents, 2))
    else:
        for content in contents:
            _show(content)


@checkpoints.command()
@name_argument
@destination_option
@state_option
@config_option
def rebuild(name: str, to: str | None, state: Path | None, config: Path | None) -> None:
    """Make a checkpoint again from the destination.

    It reads the commit records of volume NAME, of all its shards or of one.

    For a state folder that is damaged: its files are set aside, never deleted. It is refused while a
    collector holds the folder. A missing state folder needs no command: the next start rebuilds it.
    """
    root = _state_root(state, config)
    store = store_from(to, config)
    try:
        shards = list(_exported_shards(store, name))
        if not shards:
            raise Incomplete(
                f"{store.url} has no commit records of {name}", hint="see the volume's name, and --to"
            )
        for volume, shard in shards:
            _rebuild(StateFolder(root, volume, shard), store)
    finally:
        store.close()


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@config_option
@click.option(
    "--volume", metavar="DIR", help="The volume, instead of those of the file. [env: JOBLOG_VOLUME]"
)
@click.option("--layout", metavar="L", help="What its directory names mean. [env: JOBLOG_LAYOUT]")
@click.option("--name", metavar="N", help="Its name in the export. [env: JOBLOG_NAME]")
@click.option("--state", metavar="DIR", help="The state folder. [env: JOBLOG_STATE]")
@click.option("--shards", metavar="N", help="Into how many slices volumes are cut. [env: JOBLOG_SHARDS]")
@output_option
def explain(path: Path, config: Path | None, output: str, **options: str | None) -> int:
    """Say why the file PATH is, or is not, collected, and where it stands.

    Give it the settings of the collector. Exits with 0 if the file is, was, or will be collected, and
    with 1 if not.
    """
    told = explain_path(path, settings_from(config, _without_destination(options)))
    if output == "json":
        click.echo(indented(told, 2))
    else:
        for line in lines(told):
            click.echo(printable(line))
    return 0 if told.collected else 1


def _without_destination(options: Mapping[str, str | None]) -> dict[str, str | None]:
    """The settings need a destination, and these commands have none to ask."""
    return {**options, "to": _NO_DESTINATION}


def _state_root(state: Path | None, config: Path | None) -> Path:
    if state is None and config is not None:
        return settings_from(config, _without_destination({})).state
    return state or DEFAULT_STATE


def _shard_row(folder: StateFolder) -> ShardRow:
    held_by = _held_by(folder)
    try:
        found = folder.load()
    except StateError as error:
        return ShardRow(folder.volume, folder.shard, None, None, None, None, held_by, str(error))
    if found is None:
        return ShardRow(folder.volume, folder.shard, None, None, None, None, held_by)
    sizes = (found.sequence, found.epoch, len(found.sources), len(found.files))
    return ShardRow(folder.volume, folder.shard, *sizes, held_by)


def _held_by(folder: StateFolder) -> str | None:
    holder = folder.holder()
    return None if holder is None else str(holder)


def _chosen(root: Path, name: str) -> list[StateFolder]:
    volume, shard = _parsed(name)
    return [
        folder for folder in state_folders(root) if folder.volume == volume and shard in (None, folder.shard)
    ]


def _parsed(name: str) -> tuple[str, int | None]:
    match = _NAMED.fullmatch(name)
    if match is None:
        raise UsageError(f"{name} names no shard", hint="write NAME, or NAME/SSS such as default/000")
    return match["volume"], None if match["shard"] is None else int(match["shard"])


def _content(folder: StateFolder, source: str | None) -> ShardContent | None:
    found = folder.load()
    if found is None:
        return None
    sources = sorted(found.sources) if source is None else [source] * (source in found.sources)
    files = [at for each in sources for at in sorted(found.files_of(each), key=_path_and_generation)]
    return ShardContent(
        volume=found.volume,
        shard=found.shard,
        sequence=found.sequence,
        epoch=found.epoch,
        unfinished=found.unfinished.sequence if found.unfinished else None,
        held_by=_held_by(folder),
        sources=tuple(found.sources[each] for each in sources),
        files=tuple(files),
    )


def _path_and_generation(at: FileCheckpoint) -> tuple[str, int]:
    return at.file.path, at.file.generation


def _show(content: ShardContent) -> None:
    unfinished = f", object of {content.unfinished} not seen yet" if content.unfinished is not None else ""
    held = f", held by {content.held_by}" if content.held_by else ""
    click.echo(
        printable(
            f"{content.volume}/{_digits(content.shard)}: next record {content.sequence}, "
            f"epoch {content.epoch}{unfinished}{held}"
        )
    )
    revisions = {source.source: source.revision for source in content.sources}
    _table(
        ("SOURCE", "PATH", "GENERATION", "OFFSET", "BYTES", "LINE FEEDS", "RECEIPT"),
        [
            (at.file.source, at.file.path, at.file.generation, at.offset, at.bytes, at.line_feeds,
             revisions[at.file.source] or None)
            for at in content.files
        ],
    )  # fmt: skip


def _exported_shards(store: Store, name: str) -> Iterator[tuple[str, int]]:
    """The shards of `name` that have commit records in the destination."""
    volume, only = _parsed(name)
    for folder in store.folders(f"{COMMITS}{volume}/"):
        digits = folder.rstrip("/").rpartition("/")[2]
        if digits.isascii() and digits.isdigit() and only in (None, int(digits)):
            yield volume, int(digits)


def _rebuild(folder: StateFolder, store: Store) -> None:
    owner = Owner(instance=uuid4().hex, host=socket.gethostname(), pid=os.getpid(), version=__version__)
    folder.lock(owner)
    try:
        found = Checkpoint(folder.volume, folder.shard)
        ledger = Ledger(
            store,
            volume=folder.volume,
            shard=folder.shard,
            owner=owner,
            clock=partial(datetime.now, UTC),
            emit=_ignore,
        )
        for record in ledger.read(0):
            found.apply(record)
        for moved in folder.set_aside():
            click.echo(f"set aside {printable(str(moved))}", err=True)
        folder.compact(found)
    finally:
        folder.close()
    click.echo(
        f"{printable(folder.volume)}/{_digits(folder.shard)}: rebuilt from {found.sequence} records: "
        f"{len(found.sources)} sources, {len(found.files)} files"
    )


def _ignore(event: Event) -> None:
    """Reading records tells nothing that this command would show."""


def _digits(shard: int) -> str:
    return f"{shard:0{SHARD_DIGITS}d}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns for people and for `awk`: text to the left, numbers to the right, "-" for nothing."""
    cells = [[printable("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    numbers = [
        bool(rows) and all(cell is None or isinstance(cell, int) for cell in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(heads)
    for row in (list(heads), *cells):
        padded = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())

"""Options that several commands share, so that each is spelled and explained the same everywhere."""

from __future__ import annotations

import random
from pathlib import Path

import click

from collector.errors import UsageError
from collector.events import DestinationFailing, Event
from collector.sink.retry import Retrying, RetryPolicy
from collector.sink.store import Store
from collector.terminal import printable

PATIENCE = RetryPolicy(attempts=4, first_seconds=0.1, longest_seconds=0.4)
"""A person waits. Ten times as long where access is denied, which a store may only say while keys are new."""

destination_option = click.option(
    "--to",
    metavar="URL",
    envvar="JOBLOG_TO",
    show_envvar=True,
    help="The destination; else that of --config.",
)
config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="JOBLOG_CONFIG",
    show_envvar=True,
    help="Settings, of which the destination is taken.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How it is shown.",
)


def store_from(to: str | None, config: Path | None) -> Store:
    """The destination of `--to`, else that of the file, for commands that read. Raises UsageError."""
    # Not for commands that only take an option from here: these import botocore.
    from collector.config import environment, load_destination  # noqa: PLC0415 - see above
    from collector.sink.destination import open_store  # noqa: PLC0415 - see above

    if to is None and config is None:
        raise UsageError("there is no destination", hint="give --to URL, JOBLOG_TO, or --config FILE")
    url = to or load_destination(config, environment())
    return Retrying(open_store(url), policy=PATIENCE, emit=_tell, random=random.random)


def _tell(event: Event) -> None:
    """Says why it takes so long."""
    if isinstance(event, DestinationFailing):
        click.echo(f"joblog: {printable(event.error)}: trying again", err=True)

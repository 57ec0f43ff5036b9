"""`joblog run`: collect, until told to stop or, with `--once`, until all that is there is committed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from collector.cli.frame import importing, tell
from collector.cli.options import output_option
from collector.cli.settings import configuration_options, settings_from
from collector.config_sections import OFF

LOG_FORMATS = ("json", "text")
LOG_LEVELS = ("debug", "info", "warning", "error")


@click.command()
@configuration_options
@click.option("--once", is_flag=True, help="Collect what is there, commit it, and end. Without HTTP.")
@click.option(
    "--complete", is_flag=True, help="With --once: take every source for finished; write its receipt."
)
@click.option("--dry-run", is_flag=True, help="Show what retention would delete now; write nothing, and end.")
@output_option
@click.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    envvar="JOBLOG_LOG_FORMAT",
    show_envvar=True,
    help="How the log looks; text on a terminal, else json.",
)
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    show_default=True,
    envvar="JOBLOG_LOG_LEVEL",
    show_envvar=True,
    help="How loud it is.",
)
def run(
    config: Path | None,
    *,
    once: bool,
    complete: bool,
    dry_run: bool,
    output: str,
    log_format: str | None,
    log_level: str,
    **options: str | None,
) -> int:
    """Collect the logs of a volume, each line exactly once.

    It runs until SIGTERM or SIGINT; then it commits what it has read, and ends.
    """
    if complete and not once:
        raise click.UsageError("--complete needs --once")
    if dry_run and once:
        raise click.UsageError("--dry-run collects nothing: leave --once out")
    if output != "text" and not dry_run:
        raise click.UsageError("--output needs --dry-run")
    if once:
        options["http"] = OFF
    settings = settings_from(config, options)
    if dry_run:
        from collector.cli.outlook import show  # noqa: PLC0415 - slow to import: a fault is told first

        return show(settings, output, log_format or _format(), log_level)
    with importing():
        from collector.service import run as run_service  # noqa: PLC0415 - slow to import: a fault is told first

    return run_service(
        settings,
        once=once,
        complete=complete,
        log_format=log_format or _format(),
        log_level=log_level,
        abandon=_abandon,
    )


def _abandon(error: BaseException) -> NoReturn:
    """Tells the error and is gone. A collector may be killed at any instruction, so by itself too."""
    os._exit(tell(error))


def _format() -> str:
    return "text" if sys.stderr.isatty() else "json"

"""The options that configure a collector, for the commands that have one to configure: `run` and `check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click
from click.decorators import FC

from collector.config import Meanings, environment, load
from collector.config_sections import Config
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.starts import Starts
from collector.rows.redact import check_pattern
from collector.sink.destination import open_store

MEANINGS: Meanings = {
    "to": open_store,
    "volumes.layout": Layout.parse,
    "volumes.include": lambda patterns: Selection(patterns, ()),
    "volumes.multiline.start": Starts,
    "volumes.redact.pattern": check_pattern,
    "volumes.exclude": lambda patterns: Selection(("**",), patterns),
}


def configuration_options(command: FC) -> FC:
    """The options by which `run` and `check` are configured, named as `config.OPTIONS` has them.

    Their variables are read by `config.load`, so that a fault names the variable; help names them.
    """
    options = (
        click.option(
            "--config", type=click.Path(path_type=Path), metavar="FILE", help=_help("Settings.", "CONFIG")
        ),
        click.option(
            "--volume", metavar="DIR", help=_help("The volume, instead of those of the file.", "VOLUME")
        ),
        click.option("--layout", metavar="L", help=_help("What its directory names mean.", "LAYOUT")),
        click.option("--name", metavar="N", help=_help("Its name in the export.", "NAME")),
        click.option("--to", metavar="URL", help=_help("The destination.", "TO")),
        click.option("--state", metavar="DIR", help=_help("The state folder.", "STATE")),
        click.option("--format", metavar="F", help=_help("parquet, ndjson or raw.", "FORMAT")),
        click.option("--compression", metavar="C", help=_help("zstd, gzip or none.", "COMPRESSION")),
        click.option(
            "--batch-max-age", metavar="DURATION", help=_help("Seal a batch so old.", "BATCH_MAX_AGE")
        ),
        click.option(
            "--batch-max-bytes", metavar="SIZE", help=_help("Seal a batch so large.", "BATCH_MAX_BYTES")
        ),
        click.option("--shards", metavar="N", help=_help("Into how many slices volumes are cut.", "SHARDS")),
        click.option("--http", metavar="HOST:PORT|off", help=_help("Status page and metrics.", "HTTP")),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _help(says: str, variable: str) -> str:
    return f"{says} [env: JOBLOG_{variable}]"


def settings_from(config: Path | None, options: Mapping[str, str | None]) -> Config:
    """What options, environment and file say together. Raises ConfigError for all faults at once."""
    return load(config, options, environment(), meanings=MEANINGS)

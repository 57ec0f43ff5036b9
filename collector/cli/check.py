"""`joblog check`: configuration, volume, destination, state folder and limits, before a deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import click

from collector.cli.options import output_option
from collector.cli.settings import configuration_options, settings_from
from collector.errors import ConfigError
from collector.preflight import Finding, examine, failure
from collector.terminal import printable

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@configuration_options
@output_option
def check(config: Path | None, output: str, **options: str | None) -> int:
    """Validate configuration, volume, destination, state folder and limits.

    It makes the state folder if it is not there, and leaves one small object, _joblog/check.json, in the
    destination. It needs no permission that `run` does not need.

    Exits with the exit code of the first check that failed: 2 configuration or volume, 3 destination,
    4 state folder. Warnings do not change it.
    """
    found: list[Finding] = []
    for finding in _findings(config, options):
        found.append(finding)
        if output == "text":
            click.echo(_line(finding))
    if output == "json":
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    return next((finding.exit_code for finding in found if finding.verdict == "fail"), 0)


def _findings(config: Path | None, options: Mapping[str, str | None]) -> Iterator[Finding]:
    try:
        settings = settings_from(config, options)
    except ConfigError as error:
        yield failure("configuration", error)
        return
    yield Finding("configuration", "ok", "understood")
    yield from examine(settings)


def _line(finding: Finding) -> str:
    verdict = click.style(f"{finding.verdict:<4}", fg=COLOURS[finding.verdict])
    detail = "\n".join(printable(line) for line in finding.detail.split("\n"))
    hint = f": {printable(finding.hint)}" if finding.hint else ""
    return f"{verdict}  {printable(finding.check):<16}  {detail}{hint}"

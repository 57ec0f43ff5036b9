"""`joblog layout`: what a layout makes of names, to try it before it is deployed."""

from __future__ import annotations

import json
from datetime import datetime

import click

from collector.cli.options import output_option
from collector.intake.layout import Layout, describe
from collector.intake.names import encode_name
from collector.intake.spelling import METADATA
from collector.model import Origin


@click.command()
@click.argument("layout", metavar="L")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def layout(layout: str, names: tuple[str, ...], output: str) -> int:
    """Show what the layout L makes of each NAME.

    L is a layout, or the name of a built-in one (subpath, kubelet). NAME is a directory or a file below
    the volume, such as "default_demo-x6nnw_10.0.0.9_192.168.0.2_node-1".

    Exits with 1 if a name does not match: its files would be collected without metadata.
    """
    understood = Layout.parse(layout)
    origins = describe(understood, names)
    rows = [_row(name, origin) for name, origin in zip(names, origins, strict=True)]
    click.echo(json.dumps(rows, indent=2) if output == "json" else _table(rows))
    return 0 if all(origin.matched for origin in origins) else 1


def _row(name: str, origin: Origin) -> dict[str, str | bool | None]:
    metadata = {field: getattr(origin, field) for field in (*METADATA, "cronjob")}
    return {
        "name": encode_name(name),
        "matched": origin.matched,
        "source": origin.source,
        **metadata,
        "scheduled_at": _rfc3339(origin.scheduled_at),
        **dict(origin.fields),
    }


def _rfc3339(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _table(rows: list[dict[str, str | bool | None]]) -> str:
    """One line a name; columns that are empty for all names are left out."""
    columns = dict.fromkeys(column for row in rows for column, value in row.items() if value is not None)
    lines = [tuple(columns), *(tuple(_cell(row.get(column)) for column in columns) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value or "-"

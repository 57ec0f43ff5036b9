"""What people see on a terminal: tables, colours, and a bar that moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from collector.terminal import printable

WIDEST_TABLE = 4096


def table(
    columns: Sequence[tuple[str, JustifyMethod]], rows: Sequence[Sequence[str]], marks: Sequence[str]
) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, align in columns:
        shown.add_column(name, justify=align, no_wrap=True)
    for number, row in enumerate(rows):
        style = marks[number] if marks else ""
        shown.add_row(*(Text(printable(value), style=style) for value in row))
    # A narrow terminal wraps whole lines: names that are cut into pieces could not be read or copied.
    console = Console()
    wanted = Measurement.get(console, console.options.update(max_width=WIDEST_TABLE), shown).maximum
    Console(width=max(console.width, wanted)).print(shown)


def line(text: str, style: str) -> None:
    Console(soft_wrap=True).print(Text(printable(text), style=style))


@contextmanager
def moving_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function `(done, of)` that moves a bar on the error stream."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)

        def move(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)

        yield move

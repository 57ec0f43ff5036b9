"""What people see: tables and colours on a terminal, plain columns in a pipe; log text that does no harm."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from collector.terminal import printable

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
RESET = "\x1b[0m"

# Colours pass, as far as they are only that: programs write them, and people want them. All else that
# a terminal would act on is shown as text, and so is what turns the direction of text.
_ACTIVE = re.compile(
    r"\x1b\[[0-9;]{0,40}m"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_CONCEALED = re.compile(r"(?:^|;)0*8(?:;|$)")
_EXTENDED = re.compile(r"(?:^|;)[34]8;(?:5;[0-9]+|2(?:;[0-9]+){3})")
_COLOURED_LINE = re.compile(r"\x1b\[[^\n]*")


def visible(text: str) -> str:
    """Log text for a terminal: line feeds, tabs and colours stay, other control characters become escapes
    such as `\\x07`. A colour ends with its line, and text cannot be concealed by one.
    """
    shown = _ACTIVE.sub(_harmless, text)
    return _COLOURED_LINE.sub(lambda line: line[0] + RESET, shown) if "\x1b" in shown else shown


def _harmless(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) > 1 and not _CONCEALED.search(_EXTENDED.sub("", found[2:-1])):
        return found
    return printable(found)


Column = tuple[str, Literal["left", "right"]]


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> None:
    """On a terminal a table, in which `marks` gives each row's colour; in a pipe aligned columns.

    An empty value is `-` in a pipe, so that each row has as many words as the head.
    """
    if sys.stdout.isatty():
        from collector.cli.display import table  # noqa: PLC0415 - slow to import; a pipe needs none

        table(columns, rows, marks)
        return
    lines = [[name.upper().replace(" ", "_") for name, _ in columns]]
    lines += [[printable(value).replace(" ", "\\x20") or "-" for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            value.rjust(width) if align == "right" else value.ljust(width)
            for value, width, (_, align) in zip(line, widths, columns, strict=True)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def show_line(text: str, style: str = "") -> None:
    """One line; coloured on a terminal."""
    if sys.stdout.isatty():
        from collector.cli.display import line  # noqa: PLC0415 - see show_table

        line(text, style)
    else:
        sys.stdout.write(printable(text) + "\n")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """A function `(done, of)` that moves a bar on the terminal's error stream; None where that is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from collector.cli.display import moving_bar  # noqa: PLC0415 - see show_table

    with moving_bar(what) as move:
        yield move


def human_bytes(count: int) -> str:
    exponent = min(max(count.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{count} B" if exponent == 0 else f"{count / (1 << 10 * exponent):.1f} {UNITS[exponent]}"

"""Log text on a terminal can colour itself, and nothing else."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cli.terminal import human_bytes, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\tänd ✓ 日本\u3000語\n", "plain\tänd ✓ 日本\u3000語\n"),
        ("\x1b[31mred\x1b[0m\n", "\x1b[31mred\x1b[0m\x1b[0m\n"),
        ("\x1b[1;38;5;8mgrey\nnext", "\x1b[1;38;5;8mgrey\x1b[0m\nnext"),
        ("\x1b[8mhidden\n", "\\x1b[8mhidden\n"),
        ("\x1b[1;08mhidden\n", "\\x1b[1;08mhidden\n"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("over\rwrite\b\x7f\x9b31m", "over\\rwrite\\x08\\x7f\\x9b31m"),
        ("\u202etxt.exe\u2069\u2028", "\\u202etxt.exe\\u2069\\u2028"),
    ],
)
def test_visible(text, shown):
    """Colours stay and end with their line; every other control character is shown as an escape."""
    assert visible(text) == shown


@given(st.text(st.sampled_from("\x1b[]0128;mJ\n\ta\r\x9b\x07\u202e")))
def test_nothing_but_colours_reaches_the_terminal(text):
    """Whatever the text, what is left of it without colours holds no control but line feed and tab."""
    rest = re.sub(r"\x1b\[[0-9;]*m", "", visible(text))
    assert not set(rest) & set("\x1b\r\x9b\x07\u202e")


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 << 10, "1.5 MiB"), (5 << 50, "5120.0 TiB")],
)
def test_human_bytes(count, shown):
    assert human_bytes(count) == shown


def on_a_terminal(columns, *command):
    """What a command writes to a terminal of that width."""
    main, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    with subprocess.Popen(command, stdout=terminal, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # EIO: the command has closed it
            while piece := os.read(main, 65536):
                shown += piece
        assert process.wait(60) == 0
    os.close(main)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


def test_a_narrow_terminal_cuts_no_name():
    """A table that is wider than the terminal keeps each row a line, so that names can be copied."""
    code = (
        "from collector.cli.terminal import show_table;"
        "show_table([('job', 'left'), ('lines', 'right')], [['import-orders-00014' * 3, '120']])"
    )
    shown = on_a_terminal(30, sys.executable, "-c", code).splitlines()
    assert [line.split() for line in shown] == [["job", "lines"], ["import-orders-00014" * 3, "120"]]

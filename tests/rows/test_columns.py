"""What rows hold, as the hash has it that proves them: message or exact bytes, and line feeds."""

from dataclasses import replace

import numpy as np
import pytest

from collector.intake.framing import framing
from collector.model import BatchSettings, ParseSettings, Redaction
from collector.rows.block import Block
from collector.rows.columns import Columns, columns_of
from collector.rows.packed import deltas

HEAD = b"2016-10-06T00:17:09.669794202Z stdout "
LINES = {
    "whole lines": [HEAD + b"F some\n", HEAD + b"F \xc3\xa9\n", HEAD + b"F\n", b"no header\n"],
    "no UTF-8": [HEAD + b"F \xff bad\n", b"no header \xff\n", HEAD + b"F good\n"],
    "in parts": [HEAD + b"P one \n", HEAD + b"F two\n", HEAD + b"F three\n"],
    "no line feed at the end": [HEAD + b"F one\n", HEAD + b"F two"],
    "nothing": [],
}


@pytest.mark.parametrize("lines", LINES.values(), ids=LINES)
@pytest.mark.parametrize("pattern", ["o", "nowhere"])
@pytest.mark.parametrize("line_format", ["cri", "plain"])
def test_content_is_what_the_columns_hold(lines, pattern, line_format):
    """However it is gathered, decoded or not, with something redacted or nothing."""
    settings = BatchSettings(
        "kubelet", "parquet", "zstd", 1 << 20, line_format=line_format, redact=(Redaction(pattern, "*"),)
    )
    data = b"".join(lines)
    arena = np.frombuffer(data + b"\nbehind\n", np.uint8)
    ends = np.array([len(data)])
    found = framing(settings)(arena, np.zeros(1, np.int64), ends, np.array([True]), 1 << 20)
    columns = columns_of(arena, found, settings)
    raw = columns.raw.to_pylist() if columns.raw is not None else [None] * len(found.starts)
    expected = b"".join(
        (exact if exact is not None else message.encode()) + (b"\n" if eol else b"")
        for message, exact, eol in zip(columns.message.to_pylist(), raw, found.eol.tolist(), strict=True)
    )
    assert bytes(columns.content_of(0, len(found.starts))) == expected


PLAIN = BatchSettings("subpath", "parquet", "zstd", 1 << 20)


def columns_in(data: bytes, settings: BatchSettings) -> Columns:
    arena = np.frombuffer(data, np.uint8)
    ends, final = np.array([len(data)]), np.array([True])
    return columns_of(arena, framing(settings)(arena, np.zeros(1, np.int64), ends, final, 1 << 20), settings)


@pytest.mark.parametrize("word", [b"line", "zeile \u00fc".encode()])
def test_there_is_room_before_the_messages_of_a_page(word):
    """As much as a page has before its texts; and the messages are what they are."""
    rows = [word * (row % 40 + 1) for row in range(20_000)]
    columns = columns_in(b"\n".join(rows), PLAIN)
    block = Block.of(columns.message, has_room=columns.has_room)
    assert columns.message.view("binary").to_pylist() == rows
    head, packed = deltas(np.diff(block.bounds), widest=4)
    assert block.roomy is not None
    assert len(block.roomy) - len(block.data) >= len(head) + len(packed) + 16


@pytest.mark.parametrize(
    "settings",
    [
        replace(PLAIN, format="ndjson"),
        replace(PLAIN, redact=(Redaction("line", "*"),)),
        replace(PLAIN, parse=ParseSettings((("word", "string"),), regex="(?P<word>.*)")),
    ],
    ids=["ndjson", "redact", "parse"],
)
def test_there_is_no_room_where_messages_are_no_page(settings):
    assert not columns_in(b"line " * 10 + b"\n" * 40_000, settings).has_room

"""Lines of checkpoint and journal whose checksum is right, and which still hold what they must not."""

from __future__ import annotations

import pytest

from collector.errors import StateDamaged, StateError
from collector.records import encode_record
from collector.state.codec import (
    Change,
    decode_change,
    decode_journal_header,
    decode_snapshot_header,
    decode_source,
    encode_recorded,
    seal,
)
from collector.state.file_line import decode_file


def test_a_change_is_read_with_its_record(make):
    """Of whatever kind, as it stands in the destination; a change without one has none."""
    for record in (make.open(), make.batch(1, make.span()), make.void(2, 1, (make.loss(0, 10),))):
        assert decode_change(encode_recorded(7, encode_record(record)), "place") == Change(7, record)
    for line in (b'{"n":7,"completed":1}', b'{"n":7,"record":null,"completed":1}'):
        assert decode_change(seal(line), "place") == Change(7, completed=1)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (b"[]", "record: Expected `object`, got `array`"),
        (b"{}", "record.kind: Expected `open`, `batch` or `void`"),
        (b'{"kind":null}', "record.kind: Expected `open`, `batch` or `void`"),
        (b'{"kind":["open"]}', "record.kind: Expected `open`, `batch` or `void`"),
        (b'{"kind":"checkpoint"}', "record.kind: Expected `open`, `batch` or `void`"),
        (b'{"kind":"open"}', "record: Object missing required field `volume`"),
        (b'{"kind":"void","volume":"v","shard":"0"}', "record.shard: Expected `int`, got `str`"),
        (b"%b" % (b"[" * 5000), "not valid JSON: nested too deeply"),
    ],
    ids=lambda part: repr(part)[:40],
)
def test_a_change_with_another_record_is_refused(record: bytes, says: str):
    """By file, line, and where in the record it is."""
    with pytest.raises(StateDamaged) as refused:
        decode_change(seal(b'{"n":7,"record":%b}' % record), "journal.jsonl:2")
    assert refused.value.message == f"journal.jsonl:2: {says}"
    assert "rebuild" in refused.value.hint


def test_a_record_of_one_kind_is_not_taken_for_another(make):
    """All that a batch has, under the kind of one that was opened."""
    body = encode_record(make.batch(1, make.span())).replace(b'"kind":"batch"', b'"kind":"open"')
    with pytest.raises(StateDamaged, match="place: record: Object missing required field `owner`"):
        decode_change(encode_recorded(7, body), "place")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'{"kind":"other"}',
        b'{"kind":"\xff"}',
        b'{"n":1}{"n":2}',
        b'{"n":1,"kind":NaN}',
        b'{"n":%b}' % (b"[" * 100_000),
    ],
    ids=lambda part: repr(part)[:40],
)
@pytest.mark.parametrize(
    "decode",
    [decode_snapshot_header, decode_journal_header, decode_change, decode_source, decode_file],
)
def test_any_other_line_is_refused(decode, body: bytes):
    """No exception but that of a damaged state, whoever reads the line."""
    if decode is decode_change and body == b'{"kind":"other"}':
        body = b'{"n":true}'  # it has no kind
    with pytest.raises(StateDamaged, match=r"^place: "):
        decode(seal(body), "place")


@pytest.mark.parametrize("decode", [decode_snapshot_header, decode_journal_header])
def test_a_newer_header_is_told_before_its_checksum(decode):
    """It may have others; also a version that no number of 64 bits holds."""
    for version in (b"2", b"1" + b"0" * 30):
        with pytest.raises(StateError, match=f"place: format {version.decode()} is newer") as refused:
            decode(b'{"kind":["later"],"format":%b}\n' % version, "place")
        assert not isinstance(refused.value, StateDamaged)

"""Sources as lines of the checkpoint: whatever stands in one, the quick way and the general one agree."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import StateDamaged
from collector.model import Loss, Origin, SourceCheckpoint
from collector.state.codec import decode_source, encode_source, seal
from collector.state.source_line import SourceLines

texts = st.sampled_from(["shop", "report-7", 'a"b', "a\\b", "]", '","', "", "ü"])
some = texts | st.none()
times = st.datetimes(timezones=st.just(UTC)) | st.none()
origins = st.builds(
    Origin,
    texts,
    st.booleans(),
    *[some] * 8,
    times,
    st.lists(st.tuples(texts, some), max_size=3).map(tuple),
)
sources = st.builds(
    SourceCheckpoint,
    texts,
    origins,
    st.lists(texts, max_size=3).map(tuple),
    st.lists(
        st.builds(Loss, texts, texts, st.integers(0, 9), *[st.integers(0, 99)] * 2, st.just("void")),
        max_size=1,
    ).map(tuple),
    times,
    times,
    st.integers(0, 2**40),
    st.sampled_from(["tombstone", "idle", None]),
    some,
    st.booleans(),
    st.integers(0, 2**40),
    times,
)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USUAL = SourceCheckpoint(
    "shop_report-7_node-1",
    Origin("shop_report-7_node-1", True, "shop", "report-7", "report-7", None, None, None, "node-1"),
    ("data/1.parquet", "data/2.parquet"),
    first_observed_at=NOW,
    last_observed_at=NOW,
    finished_by="idle",
)


@given(sources)
def test_a_line_gives_back_its_source(source: SourceCheckpoint):
    """Whatever it is called and holds; and the line that is written of it is the same again."""
    line = encode_source(source)
    found = SourceLines().decode(line, "line")
    assert found == decode_source(line, "line") == source
    assert encode_source(found) == line


def test_what_sources_have_in_common_is_kept_once():
    """The objects, the times, the node: one value for all sources of a checkpoint."""
    lines = SourceLines()
    one, other = (lines.decode(encode_source(USUAL), "line") for _ in range(2))
    assert one == other == USUAL
    assert one.objects is other.objects
    assert one.first_observed_at is one.last_observed_at is other.first_observed_at
    assert one.origin.node is other.origin.node
    assert one.origin.job is one.origin.pod
    assert one.origin.source is one.source


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b'"2026-03-01T12:00:00Z"', b'"2026-13-01T12:00:00Z"'),
        (b'"finished_by":"idle"', b'"finished_by":"nothing"'),
        (b'"revision":0', b'"revision":"some"'),
    ],
)
def test_a_value_that_cannot_be_is_refused(right: bytes, wrong: bytes):
    """A right checksum does not make a wrong value right: the place is named."""
    body = encode_source(USUAL).rpartition(b',"crc"')[0] + b"}"
    assert right in body
    with pytest.raises(StateDamaged, match=r"checkpoint\.jsonl:2: "):
        SourceLines().decode(seal(body.replace(right, wrong)), "checkpoint.jsonl:2")

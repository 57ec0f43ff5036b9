"""Files as lines of the checkpoint: what is read from one, however it is written, and the table of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import StateDamaged
from collector.model import Evidence, FileCheckpoint, FileId, Origin, ReceiptFile, SourceCheckpoint
from collector.state.codec import seal
from collector.state.file_line import decode_file, encode_file, plain_fields
from collector.state.file_table import FileTable
from collector.state.packed import line_of, pack, pack_line, place, unpack

hashes = st.sampled_from(["", "0", "ab12", "f" * 32, "F" * 32, "0a" * 16])
prefixes = st.sampled_from(["", "f" * 32, "0a" * 32, "f" * 64]) | st.none()
names = st.sampled_from(["app.log", "app.log.1"]) | st.text(min_size=1, max_size=8)
numbers = st.integers(0, 1000) | st.integers(0, 2**64 - 1)
files = st.builds(
    FileCheckpoint,
    st.builds(FileId, names, names, st.integers(0, 2**31 - 1)),
    names,
    *[numbers] * 3,
    st.booleans(),
    st.builds(Evidence, numbers, numbers, numbers, hashes, numbers, hashes, prefixes),
    st.lists(st.tuples(numbers, numbers), max_size=2).map(tuple),
)
PLAIN = FileCheckpoint(
    FileId("shop_report", "app.log", 0),
    "app.log.1",
    170,
    170,
    2,
    True,
    Evidence(1, 7, 170, "ab" * 16, 170, "cd" * 16),
)
SOURCES = {"shop_report": SourceCheckpoint("shop_report", Origin("shop_report"))}


def at(path: str, generation: int = 0, offset: int = 10) -> FileCheckpoint:
    return replace(PLAIN, file=FileId("shop_report", path, generation), offset=offset)


def table(*files: FileCheckpoint) -> FileTable:
    """As a snapshot with the files in this order gives it."""
    made = FileTable()
    for each in files:
        assert made.load(encode_file(each), "checkpoint.jsonl:2", SOURCES)
    return made


@given(files)
def test_a_line_gives_back_its_file(file: FileCheckpoint):
    """Whatever a file is called and holds; what is packed is the same, and is written as the same line."""
    line = encode_file(file)
    assert decode_file(line, "line") == file
    packed, fields = pack(file), plain_fields(line)
    if fields is not None:
        assert fields[0].decode() == file.file.source
        assert pack_line(fields) == packed
    if packed is not None:
        assert place(packed) == (file.file.path.encode(), file.file.generation)
        assert unpack(packed, file.file.source) == file
    if fields is not None and packed is not None:
        assert line_of(packed, fields[0]) == line


@given(files)
def test_what_a_receipt_says_of_a_file(file: FileCheckpoint):
    """It is what the file's checkpoint says, however that is kept."""
    table = FileTable()
    table.put(file)
    lines = file.line_feeds + bool(file.bytes and not file.terminated)
    said = ReceiptFile(
        file.file.path, file.file.generation, file.bytes, lines, file.evidence.prefix_sha256, file.holes
    )
    assert table.receipt_files(file.file.source) == [said]
    assert table.receipt_files("another") == []


def test_usual_files_are_packed():
    """A file without holes and with names in plain ASCII: in a third of its line."""
    line, packed = encode_file(PLAIN), pack(PLAIN)
    assert packed
    assert pack_line(plain_fields(line) or ()) == packed
    assert len(packed) < len(line) / 3


def test_a_line_written_otherwise_is_read():
    """Other spaces, another order and keys of a later version: a line with its checksum counts."""
    loose = json.loads(encode_file(PLAIN))
    del loose["crc"]
    line = seal(json.dumps({"later": 1, **dict(reversed(loose.items()))}).encode())
    assert plain_fields(line) is None
    found = FileTable()
    assert found.load(line, "line", SOURCES)
    assert dict(found) == {PLAIN.file: PLAIN}
    assert list(found.lines("shop_report")) == [encode_file(PLAIN)]


@pytest.mark.parametrize("wrong", [b'"offset":1.5', b'"offset":"ten"', b'"offset":null'])
def test_a_value_that_cannot_be_is_refused(wrong: bytes):
    """A right checksum does not make a wrong value right: the place is named."""
    body = encode_file(PLAIN).rpartition(b',"crc"')[0].replace(b'"offset":170', wrong) + b"}"
    with pytest.raises(StateDamaged, match=r"checkpoint\.jsonl:2: offset"):
        FileTable().load(seal(body), "checkpoint.jsonl:2", SOURCES)


@given(st.permutations([("a", 0), ("a", 1), ("a.1", 0), ("b", 0), ("b", 10), ("b", 9)]), st.integers(0, 6))
def test_any_order_of_loads_and_puts_gives_the_same_table(order, loaded: int):
    """Files that were read, and files that changed since, in any order; lines come sorted."""
    files = [at(path, generation) for path, generation in order]
    mixed = table(*files[:loaded])
    for each in files[loaded:]:
        mixed.put(each)
    assert mixed == {each.file: each for each in files}
    assert len(mixed) == len(files)
    in_order = sorted(files, key=lambda each: (each.file.path, each.file.generation))
    for _ in range(2):  # what is written once is kept as it was written
        assert list(mixed.lines("shop_report")) == [encode_file(each) for each in in_order]
    assert mixed == {each.file: each for each in files}


def test_a_change_takes_the_place_of_the_line():
    """The file that goes on is the one file; its neighbours stay as they are."""
    known = table(at("a"), at("b"))
    known.put(at("b", offset=20))
    assert known[at("b").file].offset == 20
    assert known == {each.file: each for each in (at("a"), at("b", offset=20))}
    known.drop("shop_report")
    assert (len(known), dict(known), list(known.of("shop_report"))) == (0, {}, [])


@pytest.mark.parametrize("again", [at("a"), at("b")])
def test_a_file_that_stands_twice_is_refused(again: FileCheckpoint):
    """Behind itself, and further on."""
    assert not table(at("a"), at("b")).load(encode_file(again), "line", SOURCES)


def test_a_file_of_no_source_is_refused():
    """Its source stands before it, or it is damage."""
    assert not FileTable().load(encode_file(PLAIN), "line", {"other": SOURCES["shop_report"]})

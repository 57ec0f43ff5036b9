"""Other collectors count only where all lines came out, however their output is laid out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import peers
from bench.peers import PEERS, Peer
from bench.workbench import Bench

COPY = "import pathlib, time; {}; time.sleep(60)"
"""A peer that follows its file until it is ended."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, large_bytes=1 << 20, small_files=0, seconds=0, repeats=1)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(peers, "STALLED_SECONDS", 2.0)


def run(bench: Bench, does: str, mark: bytes = b"\n") -> list[bool]:
    """Whether each run of a peer that does so to `source`, whose output is `to`, brought out all lines."""
    begins = "source, to = pathlib.Path('@INPUT@'), pathlib.Path('@OUTPUT@/out')"
    peer = Peer((sys.executable, "-c", COPY.format(f"{begins}; {does}")), mark)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "PEERS", {"vector": peer})
        patch.setattr(peers.shutil, "which", lambda name: name)
        return [result.exact for result in peers.peers(bench)]


def test_all_lines_are_counted(bench: Bench) -> None:
    assert run(bench, "to.write_bytes(source.read_bytes())") == [True, True]


def test_a_line_that_is_missing_or_there_twice_is_noticed(bench: Bench) -> None:
    assert run(bench, "to.write_bytes(source.read_bytes().split(b'\\n', 1)[1])") == [False, False]
    assert run(bench, "b = source.read_bytes(); to.write_bytes(b + b[:b.index(b'\\n') + 1])") == [
        False,
        False,
    ]


def test_one_that_begins_late_is_waited_for(bench: Bench) -> None:
    late = "to.write_bytes(b'settings'); time.sleep(1); to.write_bytes(source.read_bytes())"
    assert run(bench, late) == [True, True]


def test_one_that_says_nothing_or_ends_does_not_count(bench: Bench) -> None:
    assert run(bench, "raise SystemExit('no such option')") == [False, False]


def test_lines_that_are_together_in_one_are_counted_by_their_mark(bench: Bench) -> None:
    mark = PEERS["otelcol-contrib"].mark
    joined = f"to.write_bytes({mark!r}.join(source.read_bytes().split(b'\\n')))"
    assert run(bench, joined, mark) == [True, True]


def test_a_mark_is_found_wherever_the_blocks_of_a_file_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"-<x>" * 7 + b"<x")
    for size in range(1, 12):
        monkeypatch.setattr(peers, "BLOCK_BYTES", size)
        assert peers._count(file, b"<x>") == 7, size


@pytest.mark.parametrize("name", sorted(PEERS))
def test_each_has_its_defaults_and_is_tuned(name: str) -> None:
    found = sorted(path.stem for path in (peers.ROOT / "bench" / "peers").glob(f"{name}-*"))
    assert found == [f"{name}-defaults", f"{name}-tuned"]
    assert PEERS[name].mark

"""Sparse files of 1 TB: holes are found, not read; they are no lines and no loss, and receipts list them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from collector_process import Site
from exported import keys, objects, rows

TB = 1 << 40
MIDDLE = TB // 2


def sparse(path: Path, stretches: dict[int, bytes]) -> None:
    with path.open("wb") as file:
        file.truncate(TB)
        for at, data in stretches.items():
            os.pwrite(file.fileno(), data, at)


def receipt_files(site: Site, source: Path, revision: int = 1) -> list[dict]:
    (body,) = objects(site.to, f"_joblog/receipts/shop/{source.name}.default.{revision}.json").values()
    return json.loads(body)["files"]


BLOCK = b"x" * 4095 + b"\n"
"""A whole block: what a file system pads a shorter one with is data too."""


@pytest.mark.parametrize(
    ("stretches", "holes"),
    [
        ({0: BLOCK}, [[4096, TB]]),
        pytest.param({MIDDLE: BLOCK}, [[0, MIDDLE], [MIDDLE + 4096, TB]], marks=pytest.mark.soak),
        pytest.param({TB - 4096: BLOCK}, [[0, TB - 4096]], marks=pytest.mark.soak),
        ({0: BLOCK, MIDDLE: BLOCK, TB - 4096: BLOCK}, [[4096, MIDDLE], [MIDDLE + 4096, TB - 4096]]),
        ({}, [[0, TB]]),
    ],
    ids=["start", "middle", "end", "all three", "nothing but a hole"],
)
def test_a_sparse_file_of_a_terabyte(local_site: Site, stretches, holes) -> None:
    """Data anywhere in 1 TB of hole is collected at its offset, the second `--once` writes nothing, no byte
    counts as lost, the receipt lists each hole, and the proof against the volume holds.
    """
    source = local_site.source()
    sparse(source / "app.log", stretches)
    assert local_site.once().code == 0
    assert {row["offset"]: str(row["message"]).encode() + b"\n" for row in rows(local_site.to)} == stretches
    before = keys(local_site.to)
    assert local_site.once().code == 0
    assert keys(local_site.to) == before, "the second run has nothing to write"
    assert local_site.verify().code == 0
    assert local_site.once("--complete").code == 0
    (file,) = receipt_files(local_site, source)
    assert file["holes"] == holes
    assert file["bytes"] == 4096 * len(stretches)
    before = keys(local_site.to)
    assert local_site.once("--complete").code == 0
    assert keys(local_site.to) == before, "nor has it once the receipt is there"
    proof = local_site.verify()
    assert proof.code == 0, proof.stdout
    assert "0 lost bytes" in proof.stdout
    assert "not collected yet" not in proof.stdout


def test_data_that_comes_into_the_last_hole(local_site: Site) -> None:
    """A file that was made long before it was written: what is written into its last hole is collected."""
    log = local_site.source() / "app.log"
    sparse(log, {0: BLOCK})
    assert local_site.once("--complete").code == 0
    with log.open("r+b") as file:
        os.pwrite(file.fileno(), BLOCK, 4096)
    assert local_site.once("--complete").code == 0
    assert [row["offset"] for row in rows(local_site.to)] == [0, 4096]
    assert receipt_files(local_site, log.parent, 2)[0]["holes"] == [[8192, TB]]
    proof = local_site.verify()
    assert proof.code == 0, proof.stdout

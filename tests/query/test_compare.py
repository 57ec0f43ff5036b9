"""`verify --volume` compares the files that are there with what was proven."""

import os
from functools import partial
from pathlib import Path

import pytest
from export_writer import Export, Read, file_of, pod

from collector.query.compare import VolumeFile, VolumeTree
from collector.query.verify import verify

POD = pod("nightly-abcde")
TEXT = b"one\ntwo\nthree\n"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume" / POD.source
    folder.mkdir(parents=True)
    return folder


def compared(store, volume):
    files = [
        VolumeFile(POD.source, path.name, path.stat().st_size, partial(os.open, path, os.O_RDONLY))
        for path in sorted(volume.iterdir())
    ]
    return verify(store, tree=VolumeTree("default", files))


def only(report):
    assert len(report.differences) == 1, report.differences
    found = report.differences[0]
    return found.kind, found.path, found.generation, (found.start, found.end)


def test_same_files(export, store, volume):
    """Files that are the same make no difference, over several spans; an empty file needs no record."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"four\n", start=14, head=TEXT))
    (volume / "app.log").write_bytes(TEXT + b"four\n")
    (volume / "empty.log").touch()
    report = compared(store, volume)
    assert report.ok
    assert (report.volumes[0].compared_files, report.volumes[0].compared_bytes) == (2, 19)


def test_growing_file(export, store, volume):
    """Bytes behind what was collected are noted: the file may still grow."""
    export.batch(Read(POD, TEXT))
    (volume / "app.log").write_bytes(TEXT + b"fou")
    report = compared(store, volume)
    assert report.ok
    assert report.notes[0].startswith("3 bytes at the ends")


def test_file_that_was_never_collected(export, store, volume):
    """A file that no record knows is a gap from its first to its last byte."""
    export.batch(Read(POD, TEXT))
    (volume / "app.log").write_bytes(TEXT)
    (volume / "new.log").write_bytes(b"never seen\n")
    assert only(compared(store, volume)) == ("gap", "new.log", None, (0, 11))


def test_other_bytes(export, store, volume):
    """A file with other bytes is named with the range that differs, whether in its head or behind."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"four\n", start=14, head=TEXT))
    (volume / "app.log").write_bytes(TEXT + b"FOUR\n")
    assert only(compared(store, volume)) == ("volume", "app.log", 0, (14, 19))
    (volume / "app.log").write_bytes(b"ONE\n" + TEXT[4:] + b"four\n")
    assert only(compared(store, volume)) == ("volume", "app.log", 0, (0, 14))


def test_shorter_file(export, store, volume):
    """The destination has bytes that the file has no more."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"four\n", start=14, head=TEXT))
    (volume / "app.log").write_bytes(TEXT + b"f")
    assert only(compared(store, volume)) == ("volume", "app.log", 0, (15, 19))


def test_rotated_files(export, store, volume):
    """A renamed file is compared with the generation that it was, also where all begin alike."""
    banner = b"=" * 1024 + b"\n"
    export.batch(Read(POD, banner + b"first\n", name="app.log"))
    export.batch(Read(POD, banner + b"second\n", generation=1, name="app.log"))
    export.batch(Read(POD, banner + b"third\n", generation=2, name="app.log"))
    (volume / "app.log.2").write_bytes(banner + b"first\n")
    (volume / "app.log.1").write_bytes(banner + b"second\n")
    (volume / "app.log").write_bytes(banner + b"third\n")
    assert compared(store, volume).ok


def test_hole_is_seen_in_the_file(export, store, volume):
    """A gap that reads as zeros is a hole, without a receipt; one that does not is a gap."""
    export.batch(Read(POD, TEXT))
    export.batch(Read(POD, b"end\n", start=1 << 20, head=TEXT))
    with (volume / "app.log").open("wb") as file:
        file.write(TEXT)
        file.seek(1 << 20)
        file.write(b"end\n")
    assert compared(store, volume).ok
    with (volume / "app.log").open("r+b") as file:
        file.seek(1000)
        file.write(b"here")
    assert only(compared(store, volume)) == ("gap", "app.log", 0, (14, 1 << 20))


def test_vanished_and_unreadable_files(export, store, volume):
    """A file that vanishes meanwhile is noted; one that cannot be read is a difference."""
    export.batch(Read(POD, TEXT))

    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    def denied():
        raise PermissionError(13, "Permission denied")

    files = [VolumeFile(POD.source, "a", 1, gone), VolumeFile(POD.source, "b", 1, denied)]
    report = verify(store, tree=VolumeTree("default", files))
    assert only(report)[:2] == ("volume", "b")
    assert report.notes == ["1 files vanished while they were compared"]


def test_receipt_and_volume_together(export, store, volume):
    """Comparing a volume does not disturb what receipts say; another volume is not looked at."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    Export(store, volume="other").batch(Read(POD, TEXT), edit=lambda rows: rows[1:])
    (volume / "app.log").write_bytes(TEXT)
    assert compared(store, volume).ok

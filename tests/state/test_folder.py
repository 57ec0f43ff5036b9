"""The state folder on a real file system: what it keeps through every crash, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import BrokenInvariant, StateDamaged, StateError, StateLocked
from collector.model import Origin, Owner, SourceCheckpoint
from collector.state.checkpoint import Checkpoint
from collector.state.disk import state_errors
from collector.state.folder import StateFolder, state_folders

HOLD = """
import sys
from pathlib import Path
from collector.model import Owner
from collector.state.folder import StateFolder
folder = StateFolder(Path(sys.argv[1]), "v", 0)
folder.lock(Owner("other", "node-2", 99, "0.1.0"))
print("held", flush=True)
sys.stdin.read()
"""

WRITE_FOR_EVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from collector.model import OpenRecord, Owner
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
me = Owner("me", "node-1", 1, "0.1.0")
folder = StateFolder(Path(sys.argv[1]), "v", 0)
folder.lock(me)
checkpoint = folder.load() or Checkpoint("v", 0)
while True:
    sequence = checkpoint.sequence
    record = OpenRecord("v", 0, sequence, sequence + 1, me, datetime(2026, 11, 22, tzinfo=UTC))
    checkpoint.apply(record)
    folder.append(records=[record])
    print(checkpoint.sequence, flush=True)
    if sequence % 3 == 0:
        folder.compact(checkpoint)
"""


@pytest.fixture
def folder(tmp_path, make):
    opened = StateFolder(tmp_path / "state", "v", 0)
    opened.lock(make.owner)
    yield opened
    opened.close()


def dumped(checkpoint: Checkpoint | None) -> list[bytes] | None:
    return None if checkpoint is None else list(checkpoint.dump())


def reread(folder: StateFolder) -> Checkpoint | None:
    """What the next process would find."""
    return StateFolder(folder.path.parent.parent, folder.volume, folder.shard).load()


def story(make, folder: StateFolder) -> list[list[bytes]]:
    """Appends one change of each kind, alone; returns the checkpoint before the first and after each."""
    checkpoint = Checkpoint("v", 0)
    states = [dumped(checkpoint)]
    for record in (make.open(), make.batch(1, make.span(end=10), make.span("b.log"))):
        checkpoint.apply(record)
        folder.append(records=[record])
        states.append(dumped(checkpoint))
    checkpoint.completed(1)
    folder.append(completed=1)
    states.append(dumped(checkpoint))
    noted = replace(checkpoint.sources["ns_pod"], revision=1, finished_by="tombstone", tombstone="ü\n0")
    checkpoint.note_source(noted)
    folder.append(sources=[noted])
    states.append(dumped(checkpoint))
    checkpoint.retire("ns_pod")
    folder.append(retired=["ns_pod"])
    states.append(dumped(checkpoint))
    return states


def test_new_folder_holds_nothing(folder):
    """A folder that was never written has no checkpoint."""
    assert folder.load() is None
    assert not folder.wants_compaction()


def test_appended_changes_are_replayed(make, folder):
    """Each kind of change is there for the next process."""
    states = story(make, folder)
    assert dumped(reread(folder)) == states[-1]


def test_one_append_of_everything(make, folder):
    """Several changes at once come back in the order of the arguments."""
    batch = make.batch(1, make.span())
    expected = Checkpoint("v", 0)
    expected.apply(make.open())
    expected.apply(batch)
    expected.completed(1)
    noted = SourceCheckpoint("other", Origin("other"), revision=2)
    expected.note_source(noted)
    expected.retire("ns_pod")
    folder.append(records=[make.open(), batch], completed=1, sources=[noted], retired=["ns_pod"])
    assert dumped(reread(folder)) == dumped(expected)


def test_nothing_to_append_writes_nothing(folder):
    """An empty append leaves a journal without a change."""
    folder.append()
    assert len((folder.path / "journal.jsonl").read_bytes().splitlines()) == 1


def test_append_goes_on_after_a_restart(make, folder):
    """The next process numbers its changes behind those that are there."""
    folder.append(records=[make.open()])
    folder.close()
    with_next = StateFolder(folder.path.parent.parent, "v", 0)
    with_next.lock(make.owner)
    with_next.append(records=[make.open(1, 2)])
    with_next.close()
    assert reread(folder).sequence == 2


def test_journal_cut_at_every_byte(make, folder):
    """Wherever a crash cuts the journal, the whole changes before the cut stand."""
    states = story(make, folder)
    journal = folder.path / "journal.jsonl"
    body = journal.read_bytes()
    for cut in reversed(range(len(body) + 1)):
        os.truncate(journal, cut)
        changes = body.count(b"\n", 0, cut) - 1
        assert dumped(reread(folder)) == (states[changes] if changes >= 0 else None), f"cut at {cut}"


def test_writing_goes_on_behind_a_cut(make, folder, tmp_path):
    """The torn rest of a line is cut off before the next change is written, header or change."""
    story(make, folder)
    body = (folder.path / "journal.jsonl").read_bytes()
    ends = [at for at, byte in enumerate(body) if byte == 0x0A]
    for cut in sorted({0, 1, *(end + more for end in ends for more in (-3, 0, 1))}):
        torn = StateFolder(tmp_path / f"cut-{cut}", "v", 0)
        torn.path.mkdir(parents=True)
        (torn.path / "journal.jsonl").write_bytes(body[:cut])
        sequence = found.sequence if (found := torn.load()) else 0
        torn.lock(make.owner)
        torn.append(records=[make.open(sequence, sequence + 1)])
        assert reread(torn).sequence == sequence + 1
        torn.close()


def test_garbage_at_the_very_end_is_torn(make, folder):
    """A last line whose bytes never all reached the disk is no damage, line feed or not."""
    states = story(make, folder)
    journal = folder.path / "journal.jsonl"
    body = journal.read_bytes()
    for tail in (b"\0" * 512, b"\0" * 512 + b"\n", body[-40:-2], b'{"n":6,"retired":"x","crc":"00000000"}\n'):
        journal.write_bytes(body + tail)
        assert dumped(reread(folder)) == states[-1]


def test_damage_before_the_end_is_refused(make, folder):
    """One flipped bit in any line but the last is refused, with file and line number."""
    story(make, folder)
    journal = folder.path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines[:-1], start=1):
        flipped = line[:9] + bytes([line[9] ^ 1]) + line[10:]
        journal.write_bytes(b"".join([*lines[: number - 1], flipped, *lines[number:]]))
        with pytest.raises(StateDamaged, match=rf"journal\.jsonl:{number}: .*joblog checkpoints rebuild"):
            reread(folder)


def test_missing_or_doubled_line_is_refused(make, folder):
    """A line that was taken out, or put in twice, shows in the numbers."""
    story(make, folder)
    journal = folder.path / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    with pytest.raises(StateDamaged, match=r"journal\.jsonl:3: number 3 where 2 comes next"):
        reread(folder)
    journal.write_bytes(b"".join([*lines[:3], *lines[2:]]))
    with pytest.raises(StateDamaged, match=r"journal\.jsonl:4: number 2 where 3 comes next"):
        reread(folder)


def test_changes_that_do_not_follow_are_refused(make, folder):
    """A journal that is whole and still wrong is named with the line, not taken for a bug."""
    folder.append(records=[make.open()])
    folder.append(records=[make.open(5, 5)])
    with pytest.raises(StateDamaged, match=r"journal\.jsonl:3: .*record 5 where 1 comes next"):
        reread(folder)


def test_compaction_at_every_step(make, folder, tmp_path):
    """Compaction writes a snapshot, renames it, writes a journal, renames it: a crash between any two,
    or in the middle of a write, leaves the same state, and the next process goes on.
    """
    states = story(make, folder)
    old = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    folder.compact(reread(folder))
    new = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert set(new) == {"checkpoint.jsonl", "journal.jsonl", "lock"}
    snapshot, journal = new["checkpoint.jsonl"], new["journal.jsonl"]
    half = {"checkpoint.jsonl.new": snapshot[: len(snapshot) // 2]}
    steps = [
        old,
        old | {"checkpoint.jsonl.new": b""},
        old | half,
        old | {"checkpoint.jsonl.new": snapshot},
        old | {"checkpoint.jsonl": snapshot},
        old | {"checkpoint.jsonl": snapshot, "journal.jsonl.new": journal[:20]},
        old | {"checkpoint.jsonl": snapshot, "journal.jsonl.new": journal},
        new,
    ]
    for number, files in enumerate(steps):
        crashed = StateFolder(tmp_path / f"step-{number}", "v", 0)
        crashed.path.mkdir(parents=True)
        for name, body in files.items():
            (crashed.path / name).write_bytes(body)
        assert dumped(crashed.load()) == states[-1], f"step {number}"
        crashed.lock(make.owner)
        crashed.append(records=[make.open(2, 2)])
        assert reread(crashed).sequence == 3
        crashed.append(records=[make.open(3, 3)])
        crashed.compact(reread(crashed))
        crashed.append(records=[make.open(4, 4)])
        assert reread(crashed).sequence == 5
        crashed.close()


def test_killed_while_it_writes(tmp_path):
    """Six times SIGKILL at no chosen moment: what was appended is there, and the next process goes on."""
    folder = StateFolder(tmp_path, "v", 0)
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE
        )
        told = [writer.stdout.readline() for _ in range(40)]
        writer.kill()
        told += writer.stdout.readlines()
        appended = int(told[-1])
        writer.wait(timeout=10)
        writer.stdout.close()
        assert folder.load().sequence in (appended, appended + 1)


def test_snapshot_without_journal(make, folder):
    """The very first compaction may end before there is a journal."""
    states = story(make, folder)
    folder.compact(reread(folder))
    (folder.path / "journal.jsonl").unlink()
    assert dumped(reread(folder)) == states[-1]


def test_journal_without_its_snapshot_is_refused(make, folder):
    """A snapshot that somebody deleted is missed: the journal says that it goes on from one."""
    story(make, folder)
    folder.compact(reread(folder))
    folder.append(records=[make.open(2, 2)])
    (folder.path / "checkpoint.jsonl").unlink()
    with pytest.raises(StateDamaged, match=r"checkpoint\.jsonl: older than the journal, or missing"):
        reread(folder)


def test_reader_beside_a_compacting_collector(make, folder):
    """Who reads without the lock sees whole states only, however often the collector compacts."""
    checkpoint = Checkpoint("v", 0)
    reader = StateFolder(folder.path.parent.parent, "v", 0)
    for sequence in range(20):
        record = make.open(sequence, sequence + 1)
        checkpoint.apply(record)
        folder.append(records=[record])
        assert reader.load().sequence == sequence + 1
        if sequence % 3 == 0:
            folder.compact(checkpoint)
            assert reader.load().sequence == sequence + 1


def test_wants_compaction_once_the_journal_is_large(make, folder):
    """A journal over 8 MiB that outgrew its snapshot asks for a new one; then it is small again."""
    large = SourceCheckpoint("s", Origin("s"), tombstone="x" * 3_200_000)
    checkpoint = Checkpoint("v", 0)
    checkpoint.note_source(large)
    folder.append(sources=[large, large])
    assert not folder.wants_compaction()
    folder.append(sources=[large])
    assert folder.wants_compaction()
    folder.compact(checkpoint)
    assert not folder.wants_compaction()


def test_second_process_is_told_who_holds_the_lock(make, tmp_path):
    """StateLocked names host, pid and since when; death releases the lock, however sudden."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        folder = StateFolder(tmp_path, "v", 0)
        with pytest.raises(StateLocked, match=r"in use by node-2 pid 99 since 2\d\d\d-\d\d-\d\dT.*Z: stop"):
            folder.lock(make.owner)
        assert folder.holder().owner == Owner("other", "node-2", 99, "0.1.0")
    finally:
        holder.kill()
        holder.wait(timeout=10)
        holder.stdin.close()
        holder.stdout.close()
    assert folder.holder() is None
    folder.lock(make.owner)
    assert (folder.path / "lock").exists()
    folder.close()


def test_writing_needs_the_lock(make, tmp_path):
    """Nothing is written by who does not hold the folder."""
    folder = StateFolder(tmp_path, "v", 0)
    for write in (folder.append, folder.set_aside, lambda: folder.compact(Checkpoint("v", 0))):
        with pytest.raises(BrokenInvariant, match="without its lock"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_another_shards_checkpoint_is_refused(make, folder):
    """A folder that was copied under another name is not taken for that name's."""
    story(make, folder)
    root = folder.path.parent.parent
    shutil.copytree(folder.path, root / "w" / "000")
    with pytest.raises(StateError, match="belongs to volume v shard 0, not to w shard 0"):
        StateFolder(root, "w", 0).load()
    folder.compact(reread(folder))
    shutil.copytree(folder.path, root / "v" / "001")
    with pytest.raises(StateError, match="belongs to volume v shard 0, not to v shard 1"):
        StateFolder(root, "v", 1).load()
    with pytest.raises(BrokenInvariant):
        folder.compact(Checkpoint("v", 1))


def test_newer_format_is_refused_and_left_alone(make, folder):
    """Files of a newer version give one clear line that says so."""
    story(make, folder)
    journal = folder.path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"format":1', b'"format":9', 1))
    with pytest.raises(StateError, match=r"journal\.jsonl:1: format 9 is newer .*: use a newer joblog"):
        reread(folder)


def test_deleted_folder_is_noticed(make, folder):
    """Changes are not written to a file that nobody can find again."""
    folder.append(records=[make.open()])
    shutil.rmtree(folder.path)
    with pytest.raises(StateError, match="was deleted while it was in use"):
        folder.append(records=[make.open(1, 2)])


def test_write_that_fails_in_the_middle(make, tmp_path):
    """It is a StateError in one line; the torn rest is not built upon, and a new snapshot mends it."""
    folder = StateFolder(tmp_path, "v", 0)
    folder.lock(make.owner)
    checkpoint = Checkpoint("v", 0)
    checkpoint.apply(make.open())
    folder.append(records=[make.open()])
    size = (folder.path / "journal.jsonl").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        with pytest.raises(StateError, match=r"^state folder: .*: File too large"):
            folder.append(records=[make.open(1, 2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    with pytest.raises(StateError, match="an earlier write failed: start joblog again"):
        folder.append(records=[make.open(1, 2)])
    assert dumped(reread(folder)) == dumped(checkpoint)
    checkpoint.apply(make.open(1, 2))
    folder.compact(checkpoint)
    folder.append(records=[make.open(2, 3)])
    assert reread(folder).sequence == 3
    folder.close()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space left on device: free some space"),
        (errno.EIO, "Input/output error: check the disk"),
        (errno.EROFS, "Read-only file system: mount it writable"),
        (errno.EACCES, "Permission denied: make the state folder writable"),
        (errno.ESTALE, "Stale file handle: name another state folder"),
    ],
)
def test_errors_of_the_system_say_what_to_do(number, says):
    """Each OSError becomes one line with the path and a hint."""
    with pytest.raises(StateError, match=f"^state folder: /state/x: {says}"), state_errors(Path("/state/x")):
        raise OSError(number, os.strerror(number))


def test_state_folder_in_the_way_of_a_file(make, tmp_path):
    """A path that is a file, or below one, is one clear line."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="Not a directory: name a folder with --state"):
        StateFolder(tmp_path / "file", "v", 0).lock(make.owner)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_state_folder(make, tmp_path):
    """A state folder that this user may not write gives one clear line."""
    tmp_path.chmod(0o500)
    with pytest.raises(StateError, match="Permission denied: make the state folder writable"):
        StateFolder(tmp_path / "state", "v", 0).lock(make.owner)


def test_set_aside_renames_and_never_deletes(make, folder):
    """Damaged files keep their bytes under new names; the folder is as if new."""
    for number in (1, 2):
        story(make, folder)
        folder.compact(reread(folder))
        body = (folder.path / "checkpoint.jsonl").read_bytes()
        moved = folder.set_aside()
        assert [path.name for path in moved] == [
            f"journal.jsonl.aside-{number}",
            f"checkpoint.jsonl.aside-{number}",
        ]
        assert moved[1].read_bytes() == body
        assert folder.load() is None


def test_state_folders_are_found(make, tmp_path):
    """All volumes and shards below a state folder, in order; other things there do not disturb."""
    for volume, shard in (("b", 0), ("a", 11), ("a", 2)):
        folder = StateFolder(tmp_path, volume, shard)
        folder.lock(make.owner)
        folder.close()
    (tmp_path / "lost+found" / "x").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("")
    assert [(found.volume, found.shard) for found in state_folders(tmp_path)] == [
        ("a", 2),
        ("a", 11),
        ("b", 0),
    ]
    assert state_folders(tmp_path / "nowhere") == []


def test_journal_lines_read_as_json(make, folder):
    """Each line is one JSON object with its number and its checksum, for grep and jq."""
    story(make, folder)
    lines = [json.loads(line) for line in (folder.path / "journal.jsonl").read_bytes().splitlines()]
    assert [line.get("n") for line in lines] == [None, 1, 2, 3, 4, 5]
    assert lines[0]["kind"] == "journal"
    assert lines[2]["record"]["kind"] == "batch"
    assert all(len(line["crc"]) == 8 for line in lines)

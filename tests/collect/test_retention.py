"""Retention: what has its receipt is deleted from the volume, and nothing else is, whatever happens."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path

import pytest
from collector_process import AS_ANYBODY, Ended, Site, joblog, wait_until
from exported import rows
from retaining_site import RetainingSite, receipts, retaining

from collector.assembly import Assembly, Parts, Task, open_ground
from collector.cli import main
from collector.config import load
from collector.events import Event
from collector.intake.volume import Volume
from collector.model import Owner
from collector.pace import Pace
from collector.service import CLOCK
from collector.sink.destination import open_store
from collector.sink.retry import RetryPolicy

LATER = {"delete_after": "1h"}


def job(site: Site, pod: str = "demo-x6nnw", text: str = "one\ntwo\n", *, done: bool = True) -> Path:
    """A Job's directory with a file, one in a directory, and the tombstone."""
    source = site.source(pod)
    (source / "app.log").write_text(text)
    (source / "deep" / "er").mkdir(parents=True, exist_ok=True)
    (source / "deep" / "er" / "more.log").write_text("deep\n" + text)
    if done:
        (source / "tombstone").write_text("0\n")
    return source


def once(site: Site, *options: str) -> Ended:
    """`joblog run --once` in this process."""
    log = io.StringIO()
    with redirect_stderr(log):
        code = main(site.arguments("--once", *options))
    return Ended(code, "", log.getvalue())


def collected(site: Site) -> RetainingSite:
    """Has all of it collected and receipted; returns the site with which all of it is deleted at once."""
    done = once(retaining(site, LATER))
    assert done.code == 0, done.stderr
    return retaining(site)


def skipped(ended: Ended) -> dict[str, str]:
    return {event["source"]: event["why"] for event in ended.named("retention_skipped")}


def verified(site: Site) -> bool:
    return main(["verify", "--to", site.to]) == 0


def test_a_finished_source_is_deleted_and_proved_by_its_receipt(site, start):
    """On a folder and on S3: files, tombstone and directories go, in one event; receipts and rows stay."""
    site = retaining(site)
    source = job(site)
    collector = start(site)
    deleted = collector.wait_for("source_deleted")
    assert (deleted["source"], deleted["files"], deleted["bytes"]) == (source.name, 2, 21)
    assert deleted["reason"] == "age"
    assert deleted["receipt"].endswith(".default.1.json")
    assert not source.exists()
    assert collector.stop() == 0
    assert site.volume.exists()
    assert not collector.named("bytes_lost")
    assert len(collector.named("receipt_written")) == 1
    assert verified(site)


def test_once_deletes_at_its_end(local_site):
    """`--once` deletes after its receipts are durable; the next one, with nothing to do, takes no shard."""
    site = retaining(local_site)
    source = job(site)
    done = once(site)
    assert done.code == 0, done.stderr
    assert len(done.named("source_deleted")) == 1
    assert not source.exists()
    again = once(site)
    assert (again.code, again.named("shard_opened")) == (0, [])


def test_what_is_not_finished_or_not_old_enough_stays(local_site):
    """Neither a source without a receipt, nor one whose receipt is younger than `delete_after`."""
    site = retaining(local_site, LATER)
    finished, running = job(site), job(site, "other-x6nnw", done=False)
    collected(site)
    assert once(site).code == 0
    assert (finished / "app.log").exists()
    now = retaining(site)
    once(now)
    assert not finished.exists()
    assert (running / "app.log").exists()
    assert len(receipts(Path(site.to))) == 1


def _append(source: Path, _: Path) -> None:
    with (source / "app.log").open("a") as file:
        file.write("three\n")


def _new_file(source: Path, _: Path) -> None:
    (source / "late.log").write_text("late\n")


def _rewrite(source: Path, _: Path) -> None:
    """Another content of the same length: only the time, and the bytes, tell."""
    (source / "app.log").write_text("ONE\nTWO\n")


def _replace(source: Path, _: Path) -> None:
    (source / "new").write_text("ONE\nTWO\n")
    (source / "new").rename(source / "app.log")


CHANGES = {"appended": _append, "new file": _new_file, "rewritten": _rewrite, "replaced": _replace}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changed_after_its_receipt_gets_a_further_one_first(local_site, tmp_path, change):
    """Bytes that came after the receipt are collected, and receipted, before anything of them is deleted."""
    source = job(local_site)
    site = collected(local_site)
    change(source, tmp_path)
    held = {path.name: path.read_text() for path in source.glob("*.log")}
    done = once(site, "--complete")
    assert done.code == 0, done.stderr
    delivered = {str(row["message"]) for row in rows(site.to)}
    assert {line for text in held.values() for line in text.splitlines()} <= delivered
    assert [receipt["revision"] for receipt in receipts(Path(site.to))] == [1, 2]
    assert not source.exists()
    assert verified(site)


def test_bytes_changed_in_the_middle_of_a_file_keep_it(local_site):
    """A file whose time changed is read again as a whole: other bytes than its receipt proves are not
    deleted, though head, tail and length are the same.
    """
    source = job(local_site, text="line of text\n" * 1000)
    site = collected(local_site)
    with (source / "app.log").open("r+") as file:
        file.seek(6000)
        file.write("XXXX")
    done = once(site)
    assert skipped(done) == {source.name: "a file changed after its receipt"}
    assert (source / "app.log").exists()
    assert (source / "deep" / "er" / "more.log").exists()


def test_a_touched_file_with_the_same_bytes_is_deleted(local_site):
    """A newer time alone keeps nothing."""
    source = job(local_site)
    site = collected(local_site)
    (source / "app.log").touch()
    assert once(site).code == 0
    assert not source.exists()


def _link_to_file(source: Path, outside: Path) -> None:
    (source / "app.log").unlink()
    (source / "app.log").symlink_to(outside / "precious")


def _link_to_directory(source: Path, outside: Path) -> None:
    shutil.rmtree(source / "deep")
    (source / "deep").symlink_to(outside)


def _source_itself(source: Path, outside: Path) -> None:
    shutil.rmtree(source)
    source.symlink_to(outside)


LINKS = {"file": _link_to_file, "directory": _link_to_directory, "source": _source_itself}


@pytest.mark.parametrize("swap", LINKS.values(), ids=LINKS)
def test_nothing_is_deleted_through_a_symbolic_link(local_site, tmp_path, swap):
    """A file, a directory or a source that was swapped for a link: what it leads to stays, and so does it."""
    outside = tmp_path / "outside"
    (outside / "er").mkdir(parents=True)
    for name in ("precious", "app.log", "er/more.log", "tombstone"):
        (outside / name).write_text("one\ntwo\n")
    source = job(local_site)
    site = collected(local_site)
    swap(source, outside)
    once(site)
    kept = sorted(path.relative_to(outside).as_posix() for path in outside.rglob("*") if path.is_file())
    assert kept == ["app.log", "er/more.log", "precious", "tombstone"]
    assert source.is_symlink() or any(path.is_symlink() for path in source.rglob("*"))


def test_what_is_not_collected_is_left_with_its_directory(local_site):
    """Excluded files, links, pipes, and files that appeared without bytes stay, whatever else goes."""
    source = job(local_site)
    (source / "old.gz").write_bytes(b"\x1f\x8b")
    (source / "deep" / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "pipe")
    site = collected(local_site)
    done = once(site)
    assert skipped(done) == {source.name: "what was not collected is left in it"}
    left = sorted(path.relative_to(source).as_posix() for path in source.rglob("*"))
    assert left == ["deep", "deep/link", "old.gz", "pipe"]
    assert not once(site).named("receipt_written")
    assert len(receipts(Path(site.to))) == 1


def test_an_empty_file_that_appeared_is_left_with_the_tombstone(local_site):
    """A file that no receipt names is not deleted, also where it holds nothing yet."""
    source = job(local_site)
    site = collected(local_site)
    (source / "new.log").touch()
    done = once(site)
    assert skipped(done) == {source.name: "a file came after its receipt"}
    assert sorted(path.name for path in source.iterdir()) == ["deep", "new.log", "tombstone"]


def test_all_names_of_a_file_are_deleted_together(local_site):
    """A second hard link in the source is the same file: no row comes twice, and no name is left."""
    source = job(local_site)
    (source / "second.log").hardlink_to(source / "app.log")
    kept = local_site.volume.parent / "elsewhere"
    kept.hardlink_to(source / "app.log")
    site = collected(local_site)
    assert once(site).code == 0
    assert not source.exists()
    assert kept.read_text() == "one\ntwo\n"
    assert [row["message"] for row in rows(site.to)].count("two") == 2  # app.log and more.log


def test_files_in_the_root_go_and_the_root_stays(local_site):
    """The source "." has only the files directly in the root: other sources and the root stay."""
    (local_site.volume / "plain.log").write_text("plain\n")
    running = job(local_site, done=False)
    first = once(retaining(local_site, LATER, complete_after_idle="1s"), "--complete")
    assert first.code == 0, first.stderr
    _append(running, running)
    once(retaining(local_site))
    assert not (local_site.volume / "plain.log").exists()
    assert local_site.volume.is_dir()
    assert (running / "app.log").exists()


def test_a_new_directory_of_the_same_name_is_another_source(local_site):
    """A Job of the same name that writes the same lines after the deletion is collected, as a new content."""
    site = retaining(local_site)
    for _ in range(2):
        source = job(site)
        once(site, "--complete")
        assert not source.exists()
    generations = {(row["path"], row["generation"], row["message"]) for row in rows(site.to)}
    assert {("app.log", 0, "one"), ("app.log", 1, "one")} <= generations
    assert verified(site)


def test_nothing_is_deleted_without_its_receipt_or_objects(local_site):
    """A destination that was emptied proves nothing, whatever the state folder says."""
    source = job(local_site)
    site = collected(local_site)
    export = Path(site.to)
    (receipt,) = export.rglob("_joblog/receipts/*/*.json")
    body = receipt.read_bytes()
    receipt.unlink()
    assert "is not in the destination" in skipped(once(site))[source.name]
    receipt.write_bytes(body.replace(b'"bytes": 8', b'"bytes": 7'))
    assert skipped(once(site)) == {source.name: "its receipt lists other bytes"}
    receipt.write_bytes(body)
    (data,) = export.rglob("data/**/*.parquet")
    moved = data.rename(export / "aside")
    assert "is not in the destination" in skipped(once(site))[source.name]
    assert (source / "app.log").exists()
    moved.rename(data)
    once(site)
    assert not source.exists()


class LateVolume(Volume):
    """A volume on which somebody writes to each file between the last look at it and its removal."""

    def unlink(self, parts, device, inode):
        if parts[-1] == "app.log":
            with self.path.joinpath(*parts).open("a") as file:
                file.write("late\n")
        super().unlink(parts, device, inode)


class SwappingVolume(Volume):
    """A volume on which a file is rotated away between the last look at it and its removal."""

    def unlink(self, parts, device, inode):
        path = self.path.joinpath(*parts)
        if path.name == "app.log":
            path.rename(path.with_name("app.log.1"))
            path.write_text("new\n")
        super().unlink(parts, device, inode)


class Killed(BaseException):
    """As `kill -9`: nothing after it is done."""


class KillingVolume(Volume):
    """A volume on which a collector is killed instead of its second removal of a name."""

    allowed = 1

    def _count(self) -> None:
        if self.allowed == 0:
            raise Killed
        self.allowed -= 1

    def unlink(self, parts, device, inode):
        self._count()
        super().unlink(parts, device, inode)

    def rmdir(self, parts):
        self._count()
        return super().rmdir(parts)


@contextmanager
def _assembled(site: RetainingSite, kind: type[Volume]) -> Iterator[tuple[Parts, list[Event]]]:
    """A collector of this process whose deletions go through a volume of this kind. All is looked at."""
    config = load(site.file(), {}, {})
    task = Task(
        config=config,
        volume=config.volumes[0],
        shard=0,
        memory_bytes=512 << 20,
        once=True,
        complete=False,
        owner=Owner("killed", "host", 1, "test"),
        policy=RetryPolicy(attempts=1, first_seconds=0.0, longest_seconds=0.0),
        clock=CLOCK,
        random=lambda: 0.0,
    )
    events: list[Event] = []
    ground = open_ground(task)
    ground.volume.close()
    ground = replace(ground, volume=kind(site.volume))
    with ExitStack() as stack:
        stack.callback(ground.volume.close)
        ground.folder.lock(task.owner)
        stack.callback(ground.folder.close)
        assembly = Assembly(
            task,
            ground,
            open_store(site.to),
            stack=stack,
            pace=Pace(task.clock.monotonic, task.config.batch.max_age_seconds),
            give_up=lambda: None,
            emit=events.append,
        )
        parts = assembly.parts()
        wait_until("all is settled", lambda: not parts.pipeline.turn() and _is_settled(parts))
        assert parts.retention is not None
        yield parts, events


def _is_settled(parts: Parts) -> bool:
    for source in parts.catalog:
        parts.catalog.urgent[source] = None
    return all(source.looks > 1 for source in parts.catalog) and not parts.catalog.has_unsettled()


def _killed_while_deleting(site: RetainingSite) -> bool:
    """One run that is killed after one removal; false where it came to its end."""
    with _assembled(site, KillingVolume) as (parts, events):
        try:
            parts.retention.finish(lambda: None, lambda: False)
        except Killed:
            return True
        finally:
            assert not [event for event in events if event.name in ("bytes_lost", "receipt_written")]
    return False


def test_bytes_that_come_while_a_file_is_deleted_are_collected(local_site):
    """What is written between the last look at a file and its removal is read through the open descriptor;
    the rest of the source waits for its further receipt.
    """
    source = job(local_site)
    site = collected(local_site)
    with _assembled(site, LateVolume) as (parts, events):
        parts.retention.finish(lambda: None, lambda: False)
        assert not (source / "app.log").exists()
        assert (source / "tombstone").exists()
        wait_until("all is committed", lambda: not parts.pipeline.turn() and parts.pipeline.is_flushed())
    assert "late" in {row["message"] for row in rows(site.to)}
    assert not [event for event in events if event.name == "bytes_lost"]


def test_a_file_that_is_rotated_while_it_is_deleted_stays(local_site):
    """The name is looked at once more before it is removed: another file under it is not touched."""
    source = job(local_site)
    site = collected(local_site)
    with _assembled(site, SwappingVolume) as (parts, events):
        parts.retention.finish(lambda: None, lambda: False)
    assert (source / "app.log").read_text() == "new\n"
    assert (source / "app.log.1").read_text() == "one\ntwo\n"
    assert [event.why for event in events if event.name == "retention_skipped"] == [
        "a file changed after its receipt"
    ]


def test_killed_at_any_removal_the_next_start_goes_on(local_site):
    """Killed after each name that goes (files, tombstone, directories), the rest goes in the end: no loss is
    counted, and the receipt stays the one that it was.
    """
    source = job(local_site)
    site = collected(local_site)
    (before,) = receipts(Path(site.to))
    kills = 0
    while _killed_while_deleting(site):
        kills += 1
    assert kills >= 5  # 2 files, the tombstone, 3 directories; each run removes one
    assert not source.exists()
    assert receipts(Path(site.to)) == [before]
    assert verified(site)


def test_half_deleted_and_without_state_the_receipt_stays(local_site):
    """A collector that lost its state in the middle of a deletion finds the receipt standing, and goes on."""
    source = job(local_site)
    site = collected(local_site)
    (before,) = receipts(Path(site.to))
    assert _killed_while_deleting(site)
    shutil.rmtree(site.state)
    done = once(site, "--complete")
    assert done.code == 0, done.stderr
    assert not source.exists()
    assert receipts(Path(site.to)) == [before]


def test_a_further_receipt_of_a_half_deleted_source_says_no_less(local_site):
    """What came after half of a source was deleted gets a further revision, with the hashes of the rest."""
    source = job(local_site)
    (source / "empty.log").touch()
    site = collected(local_site)
    (before,) = receipts(Path(site.to))
    assert _killed_while_deleting(site)
    (source / "late.log").write_text("late\n")
    assert once(site, "--complete").code == 0
    further = receipts(Path(site.to))[-1]
    assert further["revision"] == 2
    files = {file["path"]: file for file in further["files"]}
    assert {file["path"]: file for file in before["files"]}.items() <= files.items()
    assert files["late.log"]["bytes"] == 5


def test_many_files_killed_by_the_system(local_site, start):
    """A real `kill -9` among many removals: the next collector deletes the rest, and loses nothing."""
    source = local_site.source()
    for number in range(2000):
        (source / f"{number}.log").write_text(f"line {number}\n")
    (source / "tombstone").touch()
    site = collected(local_site)
    collector = start(site)
    wait_until("the first removal", lambda: sum(1 for _ in source.iterdir()) < 2001)
    collector.kill()
    assert (source / "tombstone").exists(), "killed too late to show anything"
    done = once(site)
    assert (done.code, done.named("bytes_lost")) == (0, [])
    assert not source.exists()
    assert len(receipts(Path(site.to))) == 1


# --- free space


@pytest.fixture
def small(local_site: Site, tmp_path: Path) -> Iterator[Site]:
    """A site whose volume is a file system of 8 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield replace(local_site, volume=folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_when_the_volume_runs_full_the_oldest_receipts_go_first(small):
    """As many as it takes, and no more; what has no receipt stays; a warning says that it is not enough."""
    sources = []
    for pod in ("first-x6nnw", "second-x6nnw", "third-x6nnw"):
        sources.append(small.source(pod))
        (sources[-1] / "app.log").write_text(("x" * 1023 + "\n") * 1024)
        (sources[-1] / "tombstone").touch()
        once(retaining(small, LATER))
    done = once(retaining(small, {"free_space": "70%"}))
    assert [event["source"] for event in done.named("source_deleted")] == [sources[0].name]
    assert done.named("source_deleted")[0]["reason"] == "space"
    assert [source.exists() for source in sources] == [False, True, True]
    blocking = small.source("running-x6nnw") / "app.log"
    blocking.write_text(("x" * 1023 + "\n") * 2048)
    outlook = retaining(small, {"free_space": "6MiB"}).outlook()
    assert [outlook[source.name]["delete"] for source in sources[1:]] == [True, True]
    done = once(retaining(small, {"free_space": "7MiB"}))
    assert [event["source"] for event in done.named("source_deleted")] == [each.name for each in sources[1:]]
    assert blocking.exists()
    assert "nothing can be deleted" in skipped(done)[""]


# --- what is told beforehand


def tree(*folders: Path) -> dict[str, tuple[int, int, bytes]]:
    found = [path for folder in folders for path in folder.rglob("*")]
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in found
    }


def test_a_dry_run_shows_all_and_writes_nothing(local_site, tmp_path):
    """It says of each source whether it would be deleted, and why; volume, destination and state stay."""
    gone, running = job(local_site), job(local_site, "other-x6nnw", done=False)
    site = collected(local_site)
    changed = job(site, "third-x6nnw", text="line of text\n" * 1000)
    once(retaining(site, LATER))
    with (changed / "app.log").open("r+") as file:
        file.seek(6000)
        file.write("XXXX")
    before = tree(site.volume, Path(site.to), site.state)
    outlook = site.outlook()
    shown = site.dry_run()
    assert tree(site.volume, Path(site.to), site.state) == before
    assert outlook[gone.name] == {
        "volume": "default",
        "source": gone.name,
        "receipt": f"_joblog/receipts/shop/{gone.name}.default.1.json",
        "revision": 1,
        "files": 2,
        "bytes": 21,
        "delete": True,
        "why": "age",
    }
    assert outlook[running.name]["why"] == "it has no receipt for what it holds now"
    assert outlook[changed.name]["why"] == "a file changed after its receipt"
    assert shown.code == 0
    assert shown.stdout.splitlines()[-1] == "1 of 3 sources would be deleted: 2 files, 21 bytes"


def test_a_dry_run_needs_retention(local_site):
    """Without it there is nothing to show: a usage error, not an empty table."""
    site = replace(retaining(local_site), retention=None)
    told = site.dry_run()
    assert told.code == 2
    assert "none is configured" in told.errors[0]


def _is_refused(site: Site, what: str, prefix: tuple[str, ...] = (), *, by_check: bool = True) -> None:
    check = ["check", "--config", str(site.file())]
    for arguments in (site.arguments("--once"), *([check] if by_check else [])):
        told = joblog(*arguments, prefix=prefix)
        assert told.code == 2, told.stderr
        assert what in told.stdout + told.stderr


def test_a_volume_that_is_mounted_read_only_is_refused_at_the_start(local_site):
    """Retention that could only fail later is an error now, in `run` and in `check`."""
    job(local_site)
    folder = str(local_site.volume)
    commands = (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder])
    if os.geteuid() or subprocess.run(commands[0], capture_output=True, check=False).returncode:
        pytest.skip("a folder can be mounted read-only by root only")
    try:
        subprocess.run(commands[1], check=True)
        _is_refused(retaining(local_site), "retention is configured, but it is mounted read-only")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_volume_that_this_user_may_not_change_is_refused_at_the_start(local_site):
    """Permissions count as they are for this process, its capabilities included."""
    source = job(local_site)
    try:
        local_site.volume.chmod(0o555)
        _is_refused(retaining(local_site), "but this user may not delete in it", AS_ANYBODY, by_check=False)
        local_site.volume.chmod(0o755)
        source.chmod(0o555)
        _is_refused(retaining(local_site), "may not delete in its directories", AS_ANYBODY)
    finally:
        local_site.volume.chmod(0o755)
        source.chmod(0o755)

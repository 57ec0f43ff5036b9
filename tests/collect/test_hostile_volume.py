"""Whoever can write one Job's directory must not be able to read or stop anything else."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from collector_process import AS_ANYBODY, Collector, Site, joblog, wait_until
from exported import keys, objects, rows

from collector.cli import main

Start = Callable[..., Collector]

SECRET = b"the secret of another tenant\n"
LINES = "".join(f"line {number:04d}\n" for number in range(100))
EVIL = "\x1b]0;owned\x07\x1b[2J\n\r\"'<script>alert(1)</script>\u202e"
"""A name that would set a terminal's title, clear it, forge a line, and run in a browser."""


@pytest.fixture
def evil(local_site: Site) -> Iterator[Path]:
    """The directory of a Job that means harm. What is too deep for others to remove is removed here."""
    folder = local_site.source("evil-x6nnw")
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A directory outside of the volume."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "app.log").write_bytes(SECRET)
    return folder


def good_lines(site: Site) -> int:
    return sum("good" in str(row["source"]) for row in rows(site.to))


def assert_good_is_collected(site: Site) -> None:
    """Another Job, beside the one that means harm, is collected to its end and receipted."""
    good = site.source("good-bcdfg")
    with (good / "app.log").open("a") as log:
        log.write(LINES)
    done = site.once("--complete")
    assert "Traceback" not in done.stderr
    assert done.code in (0, 1), done.stderr
    assert good_lines(site) == (good / "app.log").read_text().count("\n")
    assert keys(site.to, f"_joblog/receipts/shop/{good.name}.default.")
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def assert_no_secret(site: Site) -> None:
    assert not any("secret" in str(row["message"]) for row in rows(site.to))
    assert not any(b"secret of another" in body for body in objects(site.to, "_joblog/").values())


# --- what is no regular file


def links(evil: Path, secret: Path) -> None:
    (evil / "file.log").symlink_to(secret / "app.log")
    (evil / "folder").symlink_to(secret)
    (evil / "nowhere.log").symlink_to("/nowhere")
    (evil / "loop").symlink_to(evil / "loop")
    (evil / "up").symlink_to("..")
    (evil.parent / "shop_link-bcdfg_10.244.0.7_10.0.0.1_node-1").symlink_to(secret)
    (evil / "tombstone").symlink_to(secret / "app.log")


def fifos(evil: Path, secret: Path) -> None:
    os.mkfifo(evil / "app.log")
    os.mkfifo(evil / "tombstone")
    os.mkfifo(evil.parent / "pipe")


def sockets(evil: Path, secret: Path) -> None:
    here = Path.cwd()
    os.chdir(evil)  # the path of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("app.log")
    finally:
        os.chdir(here)


def devices(evil: Path, secret: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes device files")
    os.mknod(evil / "app.log", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: it has no end
    os.mknod(evil / "tombstone", stat.S_IFCHR | 0o666, os.makedev(1, 5))


def impostors(evil: Path, secret: Path) -> None:
    """Names of the collector's own."""
    for name in ("checkpoint.jsonl", "journal.jsonl", "lock", "receipt.json", "app.log.1.parquet"):
        (evil / name).write_text("no checkpoint\n")
    (evil / "tombstone").mkdir()
    for name in (
        "_joblog",
        "data",
        "date=2026-01-01",
        "..%2f..%2fetc",
        "%2e%2e",
        "a.default.1.json",
        "~",
        "-rf",
    ):
        folder = evil.parent / name
        folder.mkdir()
        (folder / "app.log").write_text("imitated\n")
        (folder / "_joblog").mkdir()
        (folder / "_joblog" / "date=x").write_text("imitated\n")


def long_names(evil: Path, secret: Path) -> None:
    """255 bytes that no printable name has: three times as long when they are written down."""
    for first in (b"\xff", b"\n", b"%"):
        folder = os.fsencode(evil.parent) + b"/" + first * 255
        Path(os.fsdecode(folder)).mkdir()
        Path(os.fsdecode(folder + b"/" + first * 255)).write_bytes(b"long\n")


def deep_tree(evil: Path, secret: Path) -> None:
    """1,000 levels of names of 200 bytes: no path leads so far."""
    directory = os.open(evil, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d" * 200, dir_fd=directory)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(os.open("app.log", os.O_WRONLY | os.O_CREAT, dir_fd=directory))
    os.close(directory)


def no_permissions(evil: Path, secret: Path) -> None:
    (evil / "app.log").write_text("unreadable\n")
    (evil / "app.log").chmod(0)
    (evil / "closed").mkdir(mode=0)
    other = evil.parent / "shop_closed-bcdfg_10.244.0.7_10.0.0.1_node-1"
    other.mkdir()
    other.chmod(0)


HARMS = [links, fifos, sockets, devices, impostors, long_names, deep_tree]


@pytest.mark.parametrize("harm", HARMS)
def test_another_job_is_collected_all_the_same(local_site: Site, evil: Path, secret: Path, harm) -> None:
    """Whatever stands in one Job's directory: nothing outside is read, nothing blocks, nothing crashes, and
    the Job beside it is collected, receipted and proven.
    """
    harm(evil, secret)
    assert_good_is_collected(local_site)
    assert_no_secret(local_site)


@pytest.mark.parametrize(
    "harm",
    [deep_tree, *(pytest.param(each, marks=pytest.mark.soak) for each in HARMS if each is not deep_tree)],
)
def test_a_running_collector_goes_on(local_site: Site, evil: Path, secret: Path, start: Start, harm) -> None:
    """The same while it runs: it is still there, and takes what another Job writes afterwards."""
    collector = start(local_site)
    collector.wait_for("collector_started")
    harm(evil, secret)
    good = local_site.source("good-bcdfg")
    for count in (1, 2):
        with (good / "app.log").open("a") as log:
            log.write(LINES)
        wait_until("the other Job is collected", lambda: good_lines(local_site) == count * 100)  # noqa: B023
    (good / "tombstone").write_text("0")
    collector.wait_for("receipt_written")
    assert collector.stop() == 0, collector.log
    assert "Traceback" not in collector.log
    assert_no_secret(local_site)


def test_what_may_not_be_read_stops_nothing_else(local_site: Site, evil: Path, secret: Path) -> None:
    """A file, a directory and a whole source without permissions: said so, exit code 1, all else is there."""
    no_permissions(evil, secret)
    good = local_site.source("good-bcdfg")
    (good / "app.log").write_text(LINES)
    done = joblog(*local_site.arguments("--once", "--complete"), prefix=AS_ANYBODY)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    assert good_lines(local_site) == 100
    assert keys(local_site.to, f"_joblog/receipts/shop/{good.name}.default.1.json")
    proof = joblog("verify", "--to", local_site.to, "--volume", str(local_site.volume), prefix=AS_ANYBODY)
    assert proof.code == 1, "what cannot be compared is not proven"
    assert "cannot be read" in proof.stdout
    assert "Traceback" not in proof.stderr


@contextmanager
def swapping(evil: Path, secret: Path) -> Iterator[None]:
    """A thread that swaps files and directories for links to the outside and back, as fast as it can."""
    over = threading.Event()
    (evil / "dir").mkdir()
    (evil / "dir" / "app.log").write_text("harmless\n")
    (evil / "other").symlink_to(secret)
    (evil / "app.log").write_text("harmless\n")
    (evil / "link.log").symlink_to(secret / "app.log")

    def swap() -> None:
        turn = 0
        while not over.is_set():
            turn += 1
            for one, other in (("dir", "other"), ("app.log", "link.log")):
                (evil / one).rename(evil / ".swap")
                (evil / other).rename(evil / one)
                (evil / ".swap").rename(evil / other)
            if turn % 7 == 0:
                with (evil / ("app.log" if turn % 2 else "link.log")).open("r") as file:
                    file.read(1)
                for place in ("dir/app.log", "other/app.log"):
                    if not (evil / place.split("/", 1)[0]).is_symlink():
                        with (evil / place).open("a") as file:
                            file.write("harmless\n")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_links_swapped_in_a_tight_loop(local_site: Site, evil: Path, secret: Path, start: Start) -> None:
    """Files and directories turn into links to a secret and back, thousands of times a second: no byte of the
    secret is ever exported, and the Job beside is collected.
    """
    outside = (secret / "app.log").read_bytes()
    collector = start(local_site)
    with swapping(evil, secret):
        good = local_site.source("good-bcdfg")
        for count in range(1, 4):
            with (good / "app.log").open("a") as log:
                log.write(LINES)
            wait_until("the other Job is collected", lambda: good_lines(local_site) == count * 100)  # noqa: B023
    assert collector.stop() == 0, collector.log
    assert outside.startswith(SECRET)
    assert_no_secret(local_site)
    assert "Traceback" not in collector.log


# --- names


def test_evil_names_do_no_harm_where_they_are_shown(local_site: Site, start: Start, capsys) -> None:
    """Control characters, quotes and markup in the names of sources and files reach no terminal, no log, no
    metric and no page as they are: log lines, `jobs`, `logs`, `verify`, `/api/status`, `/metrics`.
    """
    source = local_site.volume / f"shop_{EVIL.replace('/', '')}"
    source.mkdir()
    (source / f"{EVIL.replace('/', '')}.log").write_text("text\n")
    unread = os.fsencode(source) + b"/\xff\xfe.log"
    Path(os.fsdecode(unread)).write_bytes(b"gone\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    site = local_site.having("--http", address)
    collector = start(site, "--log-level", "debug", "--log-format", "text")
    wait_until("it is collected", lambda: len(rows(site.to)) == 2)
    shown = {
        path: urllib.request.urlopen(f"http://{address}/{path}", timeout=10).read().decode()
        for path in ("", "api/status", "metrics", "readyz")
    }
    shown["log"] = collector.log.replace("\n", "")
    status = joblog("status", "--http", address)
    shown["status"] = status.stdout.replace("\n", "")
    assert collector.stop() == 0
    once = site.once("--complete")
    shown["log as JSON"] = once.stderr
    for command in (["jobs"], ["verify"], ["verify", "-o", "json"], ["jobs", "-o", "json"]):
        main([*command, "--to", site.to])
        shown[" ".join(command)] = capsys.readouterr().out
    for where, text in shown.items():
        assert "\x1b" not in text, where
        assert "\x07" not in text, where
        assert "\u202e" not in text, where
        assert "\r" not in text, where
    assert "<script>alert" not in shown[""]
    assert "alert" not in shown["metrics"]


def test_a_name_is_no_path_into_the_export(local_site: Site, evil: Path) -> None:
    """However directories and files are called, every key stands where it belongs: data below its date,
    receipts below their namespace, with no `..`, no empty part, and no partition that a name made up.
    """
    for name in ("..%2f..", "date=1999-01-01", "a%2Fb", "_joblog", "...", "hour=00", "*"):
        (local_site.volume / name).mkdir()
        (local_site.volume / name / "x=1.log").write_text("line\n")
    assert local_site.once("--complete").code == 0
    for key in keys(local_site.to):
        parts = key.split("/")
        assert parts[0] in ("data", "_joblog"), key
        assert all(part not in ("", ".", "..") for part in parts), key
        if parts[0] == "data":
            assert len(parts) == 4, key
            assert "1999" not in key, key
        elif parts[1] == "receipts":
            assert len(parts) == 4, key
            assert parts[2] == "_" or parts[2] == "shop", key
    assert local_site.verify().code == 0


# --- more than its share


def test_a_huge_source_does_not_hold_up_others(local_site: Site, evil: Path, start: Start) -> None:
    """While one source has 200 MB of backlog and a line that does not end, lines of others come at once:
    before the huge one is through.
    """
    block = b"x" * 99 + b"\n"
    with (evil / "huge.log").open("wb") as file:
        for _ in range(40):
            file.write(block * 50_000)
    with (evil / "endless.log").open("wb") as file:
        file.write(b"y" * (20 << 20))
    good = local_site.source("good-bcdfg")
    (good / "app.log").write_text(LINES)
    collector = start(local_site)
    wait_until("the small source is collected", lambda: b"good" in b"".join(small_records(local_site)))
    first = min(number for number, body in records(local_site).items() if b"shop_good" in body)
    assert first == 1, "it is in the first batch that was written"
    assert collector.stop() in (0, 1)
    assert "Traceback" not in collector.log


def records(site: Site) -> dict[int, bytes]:
    found = objects(site.to, "_joblog/commits/")
    return {int(key.rpartition("/")[2][:-5]): body for key, body in found.items()}


def small_records(site: Site) -> list[bytes]:
    with suppress(FileNotFoundError):
        return list(records(site).values())
    return []


def many_files(site: Site, count: int) -> float:
    """A source of so many files, with its receipt; returns how long it took, in seconds."""
    source = site.source()
    for number in range(count):
        (source / f"{number:06d}.log").write_bytes(b"line of %d\n" % number)
    began = time.monotonic()
    assert site.once("--complete").code == 0
    took = time.monotonic() - began
    (key,) = keys(site.to, "_joblog/receipts/")
    receipt = json.loads(objects(site.to, key)[key])
    assert len(receipt["files"]) == count
    assert sum(file["lines"] for file in receipt["files"]) == count
    assert len(objects(site.to, key)[key]) < 600 * count
    proof = site.verify()
    assert proof.code == 0, proof.stdout
    return took


def test_a_source_of_many_files(local_site: Site) -> None:
    """5,000 files in one source: one receipt lists them all."""
    many_files(local_site, 5_000)


@pytest.mark.soak
def test_a_source_of_a_hundred_thousand_files(local_site: Site) -> None:
    """100,000 files in one source: one receipt lists them all, in minutes."""
    assert many_files(local_site, 100_000) < 300

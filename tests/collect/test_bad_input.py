"""What a user can get wrong: each gives one clear line that says what to do, and the exit code for it."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from collector_process import AS_ANYBODY, Ended, Site, joblog
from exported import rows

USAGE, DESTINATION, STATE = 2, 3, 4


@pytest.fixture
def site(local_site: Site) -> Site:
    """A collector that would have something to do, if it could."""
    (local_site.source() / "app.log").write_text("line\n")
    return local_site


def assert_told(ended: Ended, code: int, *words: str) -> None:
    """One line for the user, that holds the words, and nothing that looks like a crash."""
    assert ended.code == code, ended.stderr
    (line,) = ended.errors
    for word in words:
        assert word in line
    assert "Traceback" not in ended.stderr
    assert "secret-of-the-test" not in ended.stderr
    assert ended.stdout == ""


def without(option: str, arguments: Sequence[str]) -> list[str]:
    at = arguments.index(option)
    return [*arguments[:at], *arguments[at + 2 :]]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("{namespace}_{pod", ["layout", "{namespace}_{pod"]),
        ("no-field-at-all", ["layout", "no-field-at-all"]),
        ("$(POD_NAME", ["layout", "$(POD_NAME"]),
    ],
)
def test_a_wrong_layout(site: Site, layout: str, words: list[str]) -> None:
    """A layout that cannot be understood is quoted."""
    assert_told(site.having("--layout", layout).once(), USAGE, *words)


def test_a_missing_volume(site: Site, tmp_path: Path) -> None:
    """The path is named, and the question is whether it is mounted."""
    nowhere = replace(site, volume=tmp_path / "nowhere")
    assert_told(nowhere.once(), USAGE, str(nowhere.volume), "is it mounted")


def test_a_volume_that_is_a_file(site: Site) -> None:
    file = site.source() / "app.log"
    assert_told(replace(site, volume=file).once(), USAGE, str(file), "Not a directory")


def test_a_volume_that_may_not_be_read(site: Site) -> None:
    site.volume.chmod(0)
    told = joblog(*site.arguments("--once"), prefix=AS_ANYBODY)
    site.volume.chmod(0o755)
    assert_told(told, USAGE, str(site.volume), "Permission denied", "may this user read it?")


def test_no_destination(site: Site) -> None:
    """Nothing is guessed: it says how a destination is named."""
    assert_told(joblog(*without("--to", site.arguments("--once"))), USAGE, "--to")


def test_an_unknown_key_in_the_file(site: Site, tmp_path: Path) -> None:
    """The key is named with its line, and the nearest key that there is."""
    config = tmp_path / "joblog.yaml"
    config.write_text(f"volumes:\n  - path: {site.volume}\n    tombstoen: done\nto: {site.to}\n")
    told = joblog("run", "--once", "--config", str(config))
    assert_told(told, USAGE, str(config), ":3", "tombstoen", "tombstone")


def test_a_file_that_is_not_there(site: Site, tmp_path: Path) -> None:
    told = joblog("run", "--once", "--config", str(tmp_path / "nowhere.yaml"))
    assert_told(told, USAGE, str(tmp_path / "nowhere.yaml"))


def test_complete_without_once(site: Site) -> None:
    assert_told(joblog(*site.arguments("--complete")), USAGE, "--complete needs --once")


def test_an_option_that_is_not_there(site: Site) -> None:
    assert_told(joblog(*site.arguments("--onse")), USAGE, "--onse", "--once")


# --- destinations


@pytest.mark.parametrize("once", [(), ("--once",)], ids=["run", "once"])
def test_a_bucket_that_is_not_there(site: Site, moto, monkeypatch, once: tuple[str, ...]) -> None:
    """The bucket is named, and is to be created, or its name corrected."""
    moto.use(monkeypatch)
    told = joblog(*replace(site, to=moto.store_url("nowhere")).arguments(*once))
    assert_told(told, DESTINATION, "s3://nowhere", "no such bucket", "create the bucket")


def test_an_endpoint_that_refuses(site: Site, moto, monkeypatch) -> None:
    """Nobody listens there: told at once, not after many tries."""
    moto.use(monkeypatch)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        told = replace(site, to=f"s3://logs?endpoint_url={url}&path_style=true").once()
    assert_told(told, DESTINATION, "s3://logs", url, "check the host name and port")


def test_no_credentials(site: Site, moto, monkeypatch) -> None:
    moto.use(monkeypatch)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    told = replace(site, to=moto.store_url("logs")).once()
    assert_told(told, DESTINATION, "no credentials found", "AWS_ACCESS_KEY_ID")


@pytest.mark.e2e
@pytest.mark.parametrize("once", [(), ("--once",)], ids=["run", "once"])
def test_wrong_credentials(site: Site, ceph_url: str, monkeypatch, once: tuple[str, ...]) -> None:
    """A wrong secret, then a key that nobody has: what is wrong is told, and neither of the two is shown."""
    there = replace(site, to=ceph_url)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
    told = joblog(*there.arguments(*once))
    assert_told(told, DESTINATION, "the secret key is not that of the access key", "AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEBODYELSESKEY0000")
    told = joblog(*there.arguments(*once))
    assert_told(told, DESTINATION, "does not know this access key", "AWS_ACCESS_KEY_ID")
    assert "SOMEBODYELSESKEY0000" not in told.stderr


@pytest.mark.e2e
def test_a_bucket_of_somebody_else(site: Site, ceph, ceph_url: str, monkeypatch) -> None:
    """A bucket that lets this user not in: what must be allowed is told."""
    ceph.further_user().use(monkeypatch)
    assert_told(replace(site, to=ceph_url).once(), DESTINATION, "access is denied", "s3:PutObject")


def test_a_destination_that_is_a_file(site: Site) -> None:
    Path(site.to).write_text("in the way")
    assert_told(site.once(), DESTINATION, site.to, "a file is where a folder is needed")


def test_a_destination_that_may_not_be_written(site: Site) -> None:
    """The folder is named, and that it must be writable."""
    Path(site.to).mkdir(mode=0o555)
    told = joblog(*site.arguments("--once"), prefix=AS_ANYBODY)
    assert_told(told, DESTINATION, site.to, "let the user that runs joblog read and write this folder")


# --- the state folder


@pytest.mark.parametrize("once", [(), ("--once",)], ids=["run", "once"])
def test_a_state_folder_that_may_not_be_written(site: Site, once: tuple[str, ...]) -> None:
    """The folder is named, and that another one can be; nothing is collected without it."""
    site.state.mkdir(mode=0o555)
    told = joblog(*site.arguments(*once), prefix=AS_ANYBODY)
    assert_told(told, STATE, str(site.state), "make the state folder writable")
    assert rows(site.to) == []


def test_a_state_folder_that_is_a_file(site: Site) -> None:
    site.state.write_text("in the way")
    assert_told(site.once(), STATE, str(site.state), "name a folder with --state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("folder", "code", "words"),
    [
        ("state", STATE, ["state", "Read-only file system", "mount it writable"]),
        ("export", DESTINATION, ["export", "Read-only file system", "mount it for writing"]),
    ],
)
def test_a_read_only_mount(site: Site, tmp_path: Path, folder: str, code: int, words: list[str]) -> None:
    """What is mounted read-only is named."""
    (tmp_path / folder).mkdir()
    command = [sys.executable, "-m", "collector", *site.arguments("--once")]
    script = f"mount -t tmpfs -o ro none {folder} && exec {shlex.join(command)}"
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(apart, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert_told(Ended(done.returncode, done.stdout, done.stderr), code, *words)

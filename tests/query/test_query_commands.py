"""The commands `logs`, `jobs` and `verify`: what they write to pipes and terminals, and their exit codes."""

import json
import os
import pty
import subprocess
import sys
from typing import NamedTuple

import pytest
from export_writer import Read, file_of, pod

from collector.cli import main
from collector.model import Loss

POD = pod("nightly-abcde")
TEXT = b"one\ntwo\nthree\n"


class Done(NamedTuple):
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def joblog(store, monkeypatch, capfdbinary):
    """Runs a command line in this process, with pipes for its output."""
    for name in [name for name in os.environ if name.startswith("JOBLOG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JOBLOG_TO", store.url)

    def run(*arguments):
        return Done(main(arguments), *capfdbinary.readouterr())

    return run


def on_terminal(store, *arguments):
    """The command's exit code and output with a terminal as its output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "collector", *arguments, "--to", store.url]
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while block := os.read(ours, 65536):
                seen += block
        except OSError:  # the other side was closed: the end, on Linux
            pass
        os.close(ours)
        _, errors = process.communicate(timeout=60)
        assert errors == b""
        return process.returncode, seen.replace(b"\r\n", b"\n").decode()


def test_logs_to_a_pipe_are_the_bytes(export, joblog):
    """What a pipe gets is what the file held, without a line feed more."""
    export.batch(Read(POD, b"a\xff\r\n\x1b[2J no end"), Read(pod("nightly-bcdfg"), b"!\n"))
    done = joblog("logs", "default/nightly")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\xff\r\n\x1b[2J no end!\n", b"")
    done = joblog("logs", "default/nightly", "--prefix", "--grep", "no end|!")
    assert done.stdout == b"[nightly-abcde/app.log] \x1b[2J no end\n[nightly-bcdfg/app.log] !\n"


def test_logs_on_a_terminal(export, store):
    """A terminal gets prefixes where there are several files, and no control characters."""
    export.batch(Read(POD, b"\x1b[2Jtwo\n"), Read(pod("nightly-bcdfg"), b"\x1b[32mok\n"))
    code, seen = on_terminal(store, "logs", "default/nightly")
    assert code == 0
    assert seen == "[nightly-abcde/app.log] \\x1b[2Jtwo\n[nightly-bcdfg/app.log] \x1b[32mok\x1b[0m\n"


def test_logs_as_json(export, joblog):
    export.batch(Read(POD, TEXT))
    rows = [json.loads(line) for line in joblog("logs", "default/nightly", "-o", "json").stdout.splitlines()]
    assert [(row["offset"], row["message"]) for row in rows] == [(0, "one"), (4, "two"), (8, "three")]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["default/nope"], 1, b"is named default/nope: joblog jobs lists what is there"),
        (["nope"], 1, b"is named nope: joblog jobs lists what is there"),
        (["nightly"], 1, b"is named nightly: did you mean default/nightly?"),
        (["default/nightli"], 1, b"did you mean default/nightly?"),
        (["default/"], 2, b"is no NAMESPACE/NAME"),
        (["default/nightly", "--grep", "("], 2, b"Invalid regular expression"),
        (["default/nightly", "--since", "noon"], 2, b"write 10m, 24h, or an RFC 3339 time"),
        (["default/nightly", "--since", "2026-11-22T00:00:00"], 2, b"is no time"),
    ],
)
def test_logs_says_what_is_wrong(export, joblog, arguments, code, says):
    """Each fault is one line and the exit code of the contract."""
    export.batch(Read(POD, TEXT))
    done = joblog("logs", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_logs_tells_losses_and_missing_objects(export, joblog):
    """What was lost is told; an object that should be there and is not makes the exit code 1."""
    export.batch(Read(POD, TEXT), losses=[Loss(POD.source, "app.log", 0, 14, 20, "deleted")])
    done = joblog("logs", "default/nightly", "--since", "2026-11-22T00:00:00Z")
    assert (done.returncode, done.stdout) == (0, TEXT)
    assert b"app.log bytes [14, 20) were lost before they were read: deleted" in done.stderr
    export.batch(Read(POD, b"x\n", start=20), put=False)
    done = joblog("logs", "default/nightly")
    assert (done.returncode, done.stdout) == (1, TEXT)
    assert b"is not there (yet)" in done.stderr


def test_follow_ends_with_the_receipt(export, joblog):
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    done = joblog("logs", "-f", "default/nightly")
    assert (done.returncode, done.stdout) == (0, TEXT)


def test_jobs(export, joblog, store):
    """Columns for pipes, a table for people, JSON for scripts."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    head, row = joblog("jobs").stdout.decode().splitlines()
    cells = dict(zip(head.split(), row.split(), strict=True))
    assert (cells["NAMESPACE"], cells["JOB"], cells["LINES"], cells["BYTES"]) == (
        "default",
        "nightly",
        "3",
        "14",
    )
    assert (cells["COMPLETE"], cells["LOST_BYTES"], cells["LAST"]) == ("yes", "0", "2026-11-22T12:00:30Z")
    [job] = json.loads(joblog("jobs", "-n", "default", "-o", "json").stdout)
    assert (job["job"], job["complete"], job["last_observed_at"]) == ("nightly", True, "2026-11-22T12:00:30Z")
    code, seen = on_terminal(store, "jobs")
    assert code == 0
    assert "nightly" in seen
    assert b"there are no Jobs in namespace else" in joblog("jobs", "-n", "else").stderr


def test_verify(export, joblog, store):
    """A summary of each volume and exit code 0; each difference a line and exit code 1; JSON for scripts."""
    export.batch(Read(POD, TEXT))
    export.receipt(POD, file_of(TEXT))
    done = joblog("verify")
    assert done.returncode == 0
    assert done.stdout.startswith(
        b"default: 1 shards, 2 records, 1 objects, 1 sources, 1 receipts, 1 files, 3 lines"
    )
    assert done.stdout.endswith(b": each byte is there once\n")
    assert on_terminal(store, "verify")[0] == 0
    export.batch(Read(POD, b"x\n", start=14), put=False)
    done = joblog("verify")
    assert done.returncode == 1
    assert (
        b"1 differences\nincomplete: default: the object of the last record is not there yet" in done.stdout
    )
    report = json.loads(joblog("verify", "-o", "json").stdout)
    assert report["differences"][0]["kind"] == "incomplete"


def test_verify_of_nothing(store, joblog):
    """An empty destination proves nothing: that is no success."""
    done = joblog("verify")
    assert done.returncode == 1
    assert b"there is no export in" in done.stderr


def test_verify_with_a_volume(export, joblog, tmp_path):
    """The tree is walked as the collector does; each file is compared, and named by source and path."""
    source = "default_nightly-abcde_10.0.0.1_10.1.0.1_n1"
    export.batch(Read(POD, TEXT, path="deep/app.log"))
    folder = tmp_path / "volume" / source / "deep"
    folder.mkdir(parents=True)
    (folder / "app.log").write_bytes(TEXT)
    (folder / "app.log.1.gz").write_bytes(b"packed")
    (folder.parent / "tombstone").write_bytes(b"0")
    done = joblog("verify", "--volume", str(tmp_path / "volume"))
    assert (done.returncode, b"1 files compared" in done.stdout) == (0, True)
    (folder / "app.log").write_bytes(b"ONE" + TEXT[3:])
    done = joblog("verify", "--volume", str(tmp_path / "volume"))
    assert done.returncode == 1
    assert (
        f"volume: default: {source}/deep/app.log bytes [0, 14): the file has other bytes".encode()
        in done.stdout
    )
    settings = tmp_path / "joblog.yaml"
    settings.write_text(f"volumes: [{{path: {tmp_path}/volume, exclude: ['*.log']}}]\n")
    assert joblog("verify", "--config", str(settings), "--volume", str(tmp_path / "volume")).returncode == 0
    done = joblog("verify", "--volume", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1

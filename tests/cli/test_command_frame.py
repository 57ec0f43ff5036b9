"""What every command stands in: start, help, and how each end of a command is told."""

import os
import select
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from collector import __version__
from collector.cli.frame import COMMANDS

JOBLOG = Path(sys.executable).with_name("joblog")

# Commands of a test's own, in the table beside the real ones: they end as real ones may.
TRIAL = """
import logging
import sys
from logging.handlers import MemoryHandler
import click
from collector import errors
from collector.cli import frame

@click.command()
@click.argument("what")
@click.argument("message", default="m")
def trial(what, message):
    message = message.encode().decode("unicode_escape")
    if what == "return":
        return int(message)
    if what == "wait":
        click.echo("waiting")
        import time
        time.sleep(60)
    if what == "flood":
        while True:
            print("x" * 1000)
    if what == "say":
        held = MemoryHandler(1000, target=logging.StreamHandler())
        logging.getLogger().addHandler(held)
        logging.getLogger().warning("logged")
        sys.stderr.write("no end of line; ")
        sys.stdout.write("x" * int(message))
        return 3
    if what == "builtin":
        raise ValueError(message)
    raise getattr(errors, what)(message, hint="h")

sys.modules["trial"] = sys.modules["__main__"]
frame.COMMANDS["trial"] = frame.Lazy("trial:trial", "A trial.")
frame.COMMANDS["gone"] = frame.Lazy("collector.cli.not_there:gone", "Not there.")
frame.COMMANDS["wrong"] = frame.Lazy("trial:sys", "No command.")
sys.exit(frame.main())
"""


def run(*arguments, **more) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False, **more)


def joblog(*arguments: str, **more) -> subprocess.CompletedProcess:
    return run(JOBLOG, *arguments, **more)


def trial(*arguments: str, **more) -> subprocess.CompletedProcess:
    return run(sys.executable, "-c", TRIAL, *arguments, **more)


def test_version_and_help():
    """Both work as `joblog` and as `python -m collector`, on stdout, with exit code 0."""
    version = joblog("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("joblog 0.")
    assert run(sys.executable, "-m", "collector", "--version").stdout == version.stdout
    text = joblog("-h")
    assert (text.returncode, text.stderr) == (0, "")
    for name, lazy in COMMANDS.items():
        assert f"\n  {name} " in text.stdout
        assert lazy.help in text.stdout


def test_help_imports_no_command():
    """`joblog --help` waits for no large library, and for no command that cannot be imported."""
    code = (
        "import sys; from collector.cli import main; main(['--help']);"
        "large = {'pyarrow', 'numpy', 'botocore', 'msgspec', 'yaml', 'rich'};"
        "sys.exit(str(large & set(sys.modules)))"
    )
    assert run(sys.executable, "-c", code).stderr.strip() == "set()"
    assert trial("--help").returncode == 0


def test_a_run_to_the_end_imports_only_what_it_needs(tmp_path: Path):
    """`run --once` to a folder imports no S3 client, no HTTP server, and no watch; nor what reads patterns
    or columns from lines, where there are none to read.
    """
    volume = tmp_path / "volume"
    (volume / "pod").mkdir(parents=True)
    (volume / "pod" / "app.log").write_bytes(b"one line\n")
    places = ["--volume", str(volume), "--to", str(tmp_path / "export"), "--state", str(tmp_path / "state")]
    code = (
        "import sys\n"
        "from collector.cli import main\n"
        f"ended = main(['run', *{places!r}, '--once', '--complete'])\n"
        "unneeded = {'botocore', 'http.server', 'prometheus_client', 'watchdog', 'pathspec', 'dateutil'}\n"
        "unneeded |= {'collector.rows.parse.parser', 'numpy.ma', 'importlib.metadata'}\n"
        "sys.exit(ended or str(unneeded & set(sys.modules)))\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.stderr.splitlines()[-1:] == ["set()"], done.stderr


def test_what_is_read_by_programs_needs_no_library_for_terminals(tmp_path: Path):
    """`joblog jobs` in a pipe does not import what draws tables on a terminal."""
    code = (
        "import sys; from collector.cli import main;"
        f"ended = main(['jobs', '--to', 'file:{tmp_path}']);"
        "sys.exit(ended or str('rich' in sys.modules))"
    )
    assert run(sys.executable, "-c", code).stderr.splitlines()[-1:] == ["False"]


def test_arrow_keeps_what_it_freed_for_a_while():
    """In a process of joblog, memory that Arrow took and freed is taken again, not touched for the first time
    again, however large.
    """
    code = (
        "import resource, sys\n"
        "import click\n"
        "from collector.cli import frame\n"
        "@click.command()\n"
        "def faults():\n"
        "    import pyarrow\n"
        "    faults = []\n"
        "    for _ in range(2):\n"
        "        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "        pyarrow.nulls(2 << 20, pyarrow.int64())\n"
        "        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
        "    click.echo(f'{pyarrow.default_memory_pool().backend_name}, {faults[1] < faults[0] / 10}')\n"
        "frame.COMMANDS['faults'] = frame.Lazy('__main__:faults', 'Counts page faults.')\n"
        "frame.main()\n"
    )
    assert run(sys.executable, "-c", code, "faults").stdout.splitlines() == ["jemalloc, True"]


def test_the_version_is_the_package_s():
    """What the collector says it is, is what is installed."""
    assert metadata.version("joblog-collector") == __version__


def test_without_a_command_help_is_shown_as_usage_error():
    """`joblog` alone shows what there is, on stderr, with exit code 2."""
    bare = joblog()
    assert (bare.returncode, bare.stdout) == (2, "")
    assert "Commands:" in bare.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nope"], "No such command 'nope'"),
        (["--nope"], "No such option '--nope'"),
        (["layout"], "Missing argument 'L'"),
        (["run", "--nope"], "No such option '--nope'"),
        (["check", "-o", "x"], "'x' is not one of 'text', 'json'"),
        (["check", "-o", "\x1b[2J\n"], "'\\x1b[2J\\n' is not one of"),
    ],
)
def test_usage_errors_are_one_line(arguments, says):
    """Exit code 2, one line that says what and where help is."""
    result = joblog(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("joblog: error: ")
    assert says in line
    assert line.endswith(" --help'")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("Incomplete", 1),
        ("UsageError", 2),
        ("VolumeError", 2),
        ("StoreDenied", 3),
        ("StateLocked", 4),
        ("Fenced", 4),
        ("BrokenInvariant", 70),
    ],
)
def test_errors_end_with_their_exit_code_in_one_line(error, code):
    """Message and hint, no traceback, the exit code of the contract."""
    result = trial("trial", error, "what\\nhappened \\x1b[2J\\u202e")
    assert result.returncode == code
    assert result.stderr == "joblog: error: what\\nhappened \\x1b[2J\\u202e: h\n"


def test_faults_of_a_configuration_keep_their_lines():
    """Each fault is on its own line; all other control characters are neutralised."""
    result = trial("trial", "ConfigError", "2 faults\\n  a\\x07\\n  b")
    assert (result.returncode, result.stderr) == (2, "joblog: error: 2 faults\n  a\\x07\n  b: h\n")


def test_what_a_command_returns_is_the_exit_code():
    """An int is the exit code."""
    assert [trial("trial", "return", code).returncode for code in ("0", "3")] == [0, 3]


def test_the_end_cuts_nothing_off():
    """Whatever was said or logged before the end of the process comes out whole, with its exit code."""
    with subprocess.Popen(
        [sys.executable, "-c", TRIAL, "trial", "say", "1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert select.select([process.stdout], [], [], 30)[0]
        assert process.poll() is None  # a pipe holds less than that
        stdout, stderr = process.communicate(timeout=30)
    assert stdout == "x" * 1_000_000
    assert (process.returncode, stderr) == (3, "no end of line; logged\n")


def test_a_bug_is_one_line_and_70():
    """What nobody foresaw has no traceback, unless JOBLOG_DEBUG=1 asks for it."""
    result = trial("trial", "builtin", "odd\\n\\x1b")
    assert result.returncode == 70
    (line,) = result.stderr.splitlines()
    assert line.startswith("joblog: error: a bug: ValueError at ")
    assert ": odd\\n\\x1b: JOBLOG_DEBUG=1" in line
    loud = trial("trial", "builtin", env={**os.environ, "JOBLOG_DEBUG": "1"})
    assert loud.returncode == 70
    assert "Traceback (most recent call last)" in loud.stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [("gone", "No module named 'collector.cli.not_there'"), ("wrong", "trial:sys is no command")],
)
def test_a_broken_command_is_not_hidden(command, says):
    """A command of the table that cannot be loaded is a bug, said so."""
    result = trial(command)
    assert result.returncode == 70
    assert says in result.stderr


def test_interrupt_is_quiet_and_130():
    """Ctrl-C ends a command without a traceback."""
    with subprocess.Popen(
        [sys.executable, "-c", TRIAL, "trial", "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (130, "")


def test_a_reader_that_leaves_is_no_error():
    """`joblog … | head` ends quietly, as if by SIGPIPE."""
    with subprocess.Popen(
        [sys.executable, "-c", TRIAL, "trial", "flood"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        ready, _, _ = select.select([process.stdout], [], [], 30)
        assert ready
        process.stdout.read(10)
        process.stdout.close()
        stderr = process.stderr.read()
        assert process.wait(timeout=30) == 141
    assert stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_told(unbuffered):
    """A full disk behind stdout is one line and exit code 1, not a bug."""
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [JOBLOG, "layout", "{pod}", "a"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert result.returncode == 1
    assert result.stderr == (
        "joblog: error: the output cannot be written: No space left on device: write it elsewhere\n"
    )


def test_a_closed_stdout_is_no_error():
    """`joblog layout … >&-` still gives its exit code."""
    result = run("/bin/sh", "-c", f"exec {JOBLOG} layout '{{pod}}' a >&-")
    assert (result.returncode, result.stderr) == (0, "")

"""`joblog generate` as a process: streams, files that rotate, rates, signals, trees."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collector.generate.files import RotatedFile
from collector.generate.lines import Lines

JOBLOG = str(Path(sys.executable).with_name("joblog"))
NUMBER = re.compile(rb"seq=(\d{9})")


def generate(*options: object, check: bool = True, **how) -> subprocess.CompletedProcess[bytes]:
    command = [JOBLOG, "generate", *map(str, options)]
    return subprocess.run(command, capture_output=True, timeout=60, check=check, **how)


def numbers(data: bytes) -> list[int]:
    return [int(number) for number in NUMBER.findall(data)]


def wait_for(condition, what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("flags", "stdout", "stderr"),
    [
        ([], 3, 0),
        (["--stdout=true", "--stderr=true"], 3, 3),
        (["--stdout", "false", "--stderr", "true"], 0, 3),
        (["--stdout=false", "--stderr"], 0, 3),
    ],
)
def test_streams_get_what_the_flags_say(flags: list[str], stdout: int, stderr: int):
    """stdout is on and stderr off, unless told otherwise, with a value or without."""
    done = generate("--total-count", 3, "--logs-per-sec", 0, "--log-type", "nginx", *flags)
    assert (done.stdout.count(b"\n"), done.stderr.count(b"\n")) == (stdout, stderr)


def test_flags_of_mock_log_are_taken_together(tmp_path: Path):
    """The command line that tutorials give writes a rotated file with every number once, oldest file last."""
    log = tmp_path / "logs" / "app.log"
    generate(
        "--log-type=nginx",
        "--stdout=false",
        "--stderr=false",
        f"--path={log}",
        "--total-count=5000",
        "--logs-per-sec=0",
        "--log-file-size=100000",
        "--log-file-count=20",
    )
    files = sorted(
        log.parent.iterdir(), key=lambda path: -int(path.suffix.removeprefix(".").replace("log", "0"))
    )
    assert [path.name for path in files][-2:] == ["app.log.1", "app.log"]
    assert len(files) > 8
    assert all(path.stat().st_size <= 100_000 for path in files)
    assert all(path.stat().st_size > 99_000 for path in files[:-1])
    assert numbers(b"".join(path.read_bytes() for path in files)) == list(range(1, 5001))


def test_only_so_many_rotated_files_are_kept(tmp_path: Path):
    """With a count of 2 there are app.log, .1 and .2, and they hold the last numbers."""
    generate(
        *("--log-type=nginx", "--stdout=false", f"--path={tmp_path / 'app.log'}", "--logs-per-sec=0"),
        *("--total-count=5000", "--log-file-size=20000", "--log-file-count=2"),
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.log", "app.log.1", "app.log.2"]
    kept = numbers(b"".join((tmp_path / name).read_bytes() for name in ("app.log.2", "app.log.1", "app.log")))
    assert kept == list(range(kept[0], 5001))


def test_rotation_keeps_the_inode_and_cuts_no_record(tmp_path: Path):
    """The file is renamed, not copied; a stack trace stays with its record, and may have its own file."""
    log = Lines("java", seed=3)
    file = RotatedFile(tmp_path / "app.log", size_bytes=1500, count=500)
    inode = (tmp_path / "app.log").stat().st_ino
    for first in range(1, 500, 50):
        file.write(log.block(first, 50, None))
    file.close()
    files = sorted(
        tmp_path.iterdir(), key=lambda path: -int(path.suffix.removeprefix(".").replace("log", "0"))
    )
    assert files[0].stat().st_ino == inode
    assert b"".join(path.read_bytes() for path in files) == log.block(1, 500, None)
    assert all(path.read_bytes().startswith(b"2026-") for path in files)


def test_an_existing_file_is_continued(tmp_path: Path):
    """What was in the file before stays, and counts for its size."""
    path = tmp_path / "app.log"
    path.write_bytes(b"0 before\n" * 100)
    file = RotatedFile(path, size_bytes=1000, count=3)
    file.write(Lines("nginx").block(1, 1, None))
    file.close()
    assert (tmp_path / "app.log.1").read_bytes() == b"0 before\n" * 100


def test_the_same_seed_gives_the_same_bytes():
    """Twice the same, and not the same as another seed's."""
    one, two, other = (
        generate("--seed", seed, "--total-count", 50, "--logs-per-sec", 0).stdout for seed in (7, 7, 8)
    )
    assert one == two
    assert one != other


def test_the_rate_is_exact():
    """31 records at 50 a second take 0.6 s: not less, and no longer than a start and a slow machine need."""
    start = time.monotonic()
    done = generate("--total-count", 31, "--logs-per-sec", 50, "--log-type", "nginx")
    assert time.monotonic() - start >= 0.6
    assert numbers(done.stdout) == list(range(1, 32))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("count", [[], ["--total-count=0"], ["--total-count=-1"]])
def test_it_runs_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals, count: list[str]):
    """Without a count it ends with SIGTERM or SIGINT, after a whole line, with exit code 0."""
    log = tmp_path / "app.log"
    options = ["--log-type=nginx", "--stdout=false", f"--path={log}", "--logs-per-sec=1000", *count]
    process = subprocess.Popen([JOBLOG, "generate", *options])
    try:
        wait_for(lambda: log.exists() and log.stat().st_size > 10_000, "a log of 10 kB")
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    data = log.read_bytes()
    assert data.endswith(b"\n")
    assert numbers(data) == list(range(1, data.count(b"\n") + 1))


def test_a_reader_that_goes_away_ends_it():
    """As with any program in a pipe: it ends, and prints no traceback."""
    with subprocess.Popen(
        [JOBLOG, "generate", "--logs-per-sec=0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 128 + signal.SIGPIPE
        assert process.stderr.read() == b""


def test_jobs_on_a_tree(tmp_path: Path):
    """Twenty Jobs leave twenty sources with tombstones, and the last line says what was written."""
    done = generate("--jobs=20", f"--root={tmp_path / 'tree'}", "--log-type=nginx", "--bytes-per-job=4KiB")
    sources = list((tmp_path / "tree").iterdir())
    assert len(sources) == 20
    assert all((source / "tombstone").read_text().strip() in {"0", "137"} for source in sources)
    size = sum((source / "app.log").stat().st_size for source in sources)
    assert re.match(rf"20 Jobs wrote \d+ lines, {size} bytes, in ".encode(), done.stdout)


def test_jobs_stop_when_they_are_told_to(tmp_path: Path):
    """SIGTERM ends Jobs that would run for an hour: exit code 0, whole lines, a count of the ended."""
    options = [
        "--jobs=40",
        f"--root={tmp_path}",
        "--log-type=nginx",
        "--logs-per-sec=1",
        "--total-count=3600",
    ]
    with subprocess.Popen([JOBLOG, "generate", *options], stdout=subprocess.PIPE) as process:
        try:
            wait_for(lambda: len(list(tmp_path.glob("*/app.log"))) >= 20, "20 Jobs")
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
        done = len(list(tmp_path.glob("*/tombstone")))
        assert process.stdout.read().startswith(f"{done} Jobs wrote ".encode())
    unfinished = [log for log in tmp_path.glob("*/app.log") if not (log.parent / "tombstone").exists()]
    assert unfinished
    assert all(log.read_bytes()[-1:] in {b"", b"\n"} for log in unfinished)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--stdout=false"], "nowhere to write"),
        (["--jobs=3"], "--jobs and --root go together"),
        (["--jobs=3", "--root=tree", "--path=x"], "without --path"),
        (["--jobs=3", "--root=tree", "--layout={namespace"], "no partner"),
        (["--log-type=apache"], "apache"),
        (["--log-file-size=big"], "should be a size"),
        (["--log-file-size=0"], "--log-file-size"),
        (["--item-length=1000000", "--key-count=1000"], "64MiB"),
        (["--path=/proc/none/app.log"], "/proc/none/app.log: cannot be opened for writing"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(tmp_path: Path, options: list[str], says: str):
    """Each says what is wrong, and nothing is written."""
    done = generate(*options, "--total-count=1", check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert says in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_and_exit_code_1():
    """A file that takes no more ends it with the reason."""
    done = generate("--path=/dev/full", "--stdout=false", "--total-count=9", "--logs-per-sec=0", check=False)
    assert done.returncode == 1
    assert done.stderr == b"joblog: error: /dev/full: cannot be written: No space left on device\n"


def test_unlimited_is_bulk(tmp_path: Path):
    """As fast as possible means large writes: far over 100 KB each."""
    options = ["--log-type=nginx", "--stdout=false", f"--path={tmp_path / 'app.log'}", "--logs-per-sec=0"]
    process = subprocess.Popen([JOBLOG, "generate", *options, "--log-file-count=1"])
    counters = Path(f"/proc/{process.pid}/io")

    def written() -> dict[str, int]:
        return {name: int(count) for name, count in re.findall(r"(\w+): (\d+)", counters.read_text())}

    try:
        wait_for(lambda: written()["wchar"] > 50_000_000, "50 MB")
        assert written()["wchar"] / written()["syscw"] > 100_000
    finally:
        process.terminate()
        assert process.wait(20) == 0

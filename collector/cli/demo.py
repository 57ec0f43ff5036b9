"""`joblog demo`: see the whole of it in a few seconds, on this machine, with nothing else."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import unquote, urlsplit

import click

from collector import demo as scene
from collector.cli.options import store_from
from collector.cli.terminal import Column, show_line, show_table
from collector.query.count import count_rows
from collector.query.jobs import summarise
from collector.sink.store import Store

SHOWN_LINES = 6
COUNTED_JOBS = 5
BY = ("namespace", "job")
QUERY = """\
   SELECT namespace, job, count(*) FROM read_parquet('{}/data/**/*.parquet')
   GROUP BY ALL ORDER BY 3 DESC, 1, 2 LIMIT 5"""
ENDED_BY_SIGTERM = 128 + signal.SIGTERM


@click.command()
@click.option(
    "--to",
    metavar="URL",
    help="Collect into this destination, instead of a temporary folder. It must be empty.",
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder, to look around in it.")
def demo(to: str | None, keep: bool) -> int:
    """Play some Jobs, collect them, and show what a user gets.

    It needs nothing but this installation, takes some ten seconds, and ends by itself.
    """
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    with _folder(keep=keep) as folder:
        code = _play(folder, to or str(folder / "export"))
        seconds = time.monotonic() - began
        outcome = "every Job is complete" if code == 0 else f"something is missing: exit code {code}"
        _say(f"Done in {seconds:.0f} s: {outcome}")
    return code


def _end(_number: int, _frame: FrameType | None) -> None:
    """Ends as Ctrl-C does: the collector drains, the folder is removed."""
    raise SystemExit(ENDED_BY_SIGTERM)


def _play(folder: Path, to: str) -> int:
    volume, log = folder / "volume", folder / "collector.log"
    volume.mkdir()
    store = store_from(to, None)
    store.check()
    scene.require_empty(store)
    jobs = scene.jobs(datetime.now(UTC))
    _say(f"1. A collector watches a shared volume: joblog run --volume {volume} --to {to}")
    with scene.collector(volume, to, folder / "state", log) as process:
        _say(
            f"2. {len(jobs)} Jobs come and go: some exit at once, some write in bursts, some are indexed or "
            "made by a CronJob, some die in the middle of a line"
        )
        played = scene.play_all(volume, jobs, lambda: datetime.now(UTC))
        _say("3. All have ended. Each gets a receipt as soon as its last line is in the destination")
        scene.wait_for_receipts(store, {job.source for job in played}, process, log)
        dead = next(job for job in played if job.spec.dies_mid_line)
        shutil.rmtree(volume / dead.source)
    if process.returncode:
        raise scene.ended(process, log)
    return _show(store, to, f"{dead.spec.namespace}/{dead.spec.job}", sum(job.lines for job in played))


def _show(store: Store, to: str, dead: str, lines: int) -> int:
    """What a user gets, by the commands a user has. Returns the first exit code that is not 0."""
    _say("4. What is there now")
    codes = [_run("jobs", "--to", to)]
    _say("5. The log of a Job that died in the middle of a line. Its Pod, and its files, are gone")
    codes.append(_run("logs", dead, "--to", to, lines=SHOWN_LINES))
    _say("6. All of it is columns: any engine that reads Parquet can ask. DuckDB, say:")
    for line in QUERY.format(_place(to)).splitlines():
        show_line(line)
    counted = count_rows(store, BY)
    there = sum(int(row[-1]) for row in counted)
    columns: list[Column] = [("namespace", "left"), ("job", "left"), ("count", "right")]
    show_table(columns, [[str(value) for value in row] for row in counted[:COUNTED_JOBS]])
    show_line(f"   … {len(counted)} Jobs in all, {there} rows; {lines} lines were written")
    _say("7. The proof that each byte is there once")
    codes.append(_run("verify", "--to", to))
    whole = there == lines and all(job.complete and not job.lost_bytes for job in summarise(store))
    return next((code for code in codes if code), 0 if whole else 1)


def _place(to: str) -> str:
    """The destination as other programs name it: without our options."""
    url = urlsplit(to)
    return (
        f"s3://{url.netloc}{url.path.rstrip('/')}"
        if url.scheme == "s3"
        else unquote(to.removeprefix("file://"))
    )


def _run(*arguments: str, lines: int | None = None) -> int:
    """Runs a command as a user would; shows the last `lines` lines of what it prints, or all."""
    shortened = f" | tail -n {lines}" if lines else ""
    show_line(f"$ joblog {shlex.join(arguments)}{shortened}", "bold")
    sys.stdout.flush()
    pipe = subprocess.PIPE if lines else None
    done = subprocess.run(  # noqa: S603  # ourselves
        scene.joblog(*arguments), check=False, stdout=pipe, env=scene.plain_environment()
    )
    for line in done.stdout.decode(errors="replace").splitlines()[-lines:] if lines else ():
        show_line(line)
    return done.returncode


def _say(text: str) -> None:
    show_line("")
    show_line(text, "bold green")
    sys.stdout.flush()


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="joblog-demo-"))
    try:
        yield folder
    finally:
        if keep:
            show_line(f"Kept: {folder}")
        else:
            shutil.rmtree(folder)
            show_line("Its folder is removed again; --keep keeps it")

"""`joblog demo`: see the whole of it in a few seconds, on this machine, with nothing else."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from collector import demo as scene
from collector.cli.options import store_from
from collector.cli.terminal import show_line, show_table
from collector.query.count import count_rows
from collector.sink.store import Store

SHOWN_LINES = 6
BY = ("namespace", "job")
QUERY = "SELECT namespace, job, count(*) FROM read_parquet('…/data/**/*.parquet') GROUP BY ALL"


@click.command()
@click.option(
    "--to",
    metavar="URL",
    help="Collect into this destination, instead of a temporary folder. It should be empty.",
)
@click.option("--keep", is_flag=True, help="Keep the temporary folder, to look around in it.")
def demo(to: str | None, keep: bool) -> int:
    """Play some Jobs, collect them, and show what a user gets.

    It needs nothing but this installation, takes some ten seconds, and ends by itself.
    """
    with _folder(keep=keep) as folder:
        return _play(folder, to or str(folder / "export"))


def _play(folder: Path, to: str) -> int:
    volume, log = folder / "volume", folder / "collector.log"
    volume.mkdir()
    store = store_from(to, None)
    store.check()
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
        return process.returncode
    return _show(store, to, f"{dead.spec.namespace}/{dead.spec.job}", sum(job.lines for job in played))


def _show(store: Store, to: str, dead: str, lines: int) -> int:
    """What a user gets, by the commands a user has. Returns the first exit code that is not 0."""
    _say("4. What is there now")
    codes = [_run("jobs", "--to", to)]
    _say("5. The log of a Job that died in the middle of a line. Its Pod, and its files, are gone")
    codes.append(_run("logs", dead, "--to", to, lines=SHOWN_LINES))
    _say("6. All of it is columns. In DuckDB, say:")
    show_line(f"   {QUERY}")
    counted = count_rows(store, BY)
    show_table(
        [("namespace", "left"), ("job", "left"), ("count", "right")],
        [[str(value) for value in row] for row in counted[:5]],
    )
    there = sum(int(row[-1]) for row in counted)
    show_line(f"   … {len(counted)} Jobs in all, {there} rows; {lines} lines were written")
    _say("7. The proof that each byte is there once")
    codes.append(_run("verify", "--to", to))
    return next((code for code in codes if code), 0 if there == lines else 1)


def _run(*arguments: str, lines: int | None = None) -> int:
    """Runs a command as a user would; shows the last `lines` lines of what it prints, or all."""
    show_line(f"$ joblog {shlex.join(arguments)}", "bold")
    sys.stdout.flush()
    if lines is None:
        return subprocess.run(scene.joblog(*arguments), check=False).returncode  # noqa: S603  # ourselves
    done = subprocess.run(scene.joblog(*arguments), check=False, stdout=subprocess.PIPE)  # noqa: S603  # ourselves
    shown = done.stdout.decode(errors="replace").splitlines()
    for line in shown[-lines:]:
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

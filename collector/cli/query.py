"""`joblog logs`, `jobs` and `verify`: reading back from the destination alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click

from collector.cli.options import config_option, destination_option, output_option, store_from
from collector.cli.settings import settings_from
from collector.cli.terminal import Column, human_bytes, progress_bar, show_line, show_table, visible
from collector.config_sections import VolumeConfig
from collector.errors import Incomplete, UsageError, VolumeError
from collector.intake.discover import Discovery, Look, SourceDir
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.listing import all_sources
from collector.intake.names import encode_name
from collector.intake.volume import Volume
from collector.json_text import indented
from collector.query.compare import VolumeFile, VolumeTree
from collector.query.follow import follow
from collector.query.jobs import JobSummary, summarise
from collector.query.logs import Filter, Found, Rows, find, read_found, split_target
from collector.query.report import Progress, Report, VolumeSummary
from collector.query.show import ends_line, exact_bytes, json_lines, prefixed_bytes
from collector.query.verify import verify as verify_export
from collector.query.wanted import Wanted
from collector.terminal import printable
from collector.units import duration_seconds

POLL_SECONDS = 1.0
SHOWN_DIFFERENCES = 200

JOB_COLUMNS: tuple[Column, ...] = (
    ("namespace", "left"),
    ("job", "left"),
    ("pods", "right"),
    ("files", "right"),
    ("lines", "right"),
    ("bytes", "right"),
    ("first", "left"),
    ("last", "left"),
    ("complete", "left"),
    ("lost bytes", "right"),
)


@click.command()
@click.argument("target", metavar="NAMESPACE/NAME")
@destination_option
@config_option
@output_option
@click.option("-f", "--follow", "following", is_flag=True, help="Wait for more, until it is complete.")
@click.option("--since", metavar="WHEN", help="Lines read since then: 10m, 24h, or an RFC 3339 time.")
@click.option("--grep", metavar="REGEX", help="Lines that match (RE2 syntax).")
@click.option("--pod", metavar="POD", help="Of this Pod alone.")
@click.option("--container", metavar="NAME", help="Of this container alone.")
@click.option("--timestamps", is_flag=True, help="When each line was read, before it.")
@click.option(
    "--prefix/--no-prefix",
    default=None,
    help="[POD/FILE] before each line; on a terminal the default where there are several files.",
)
def logs(
    target: str,
    to: str | None,
    config: Path | None,
    output: str,
    *,
    following: bool,
    since: str | None,
    grep: str | None,
    pod: str | None,
    container: str | None,
    timestamps: bool,
    prefix: bool | None,
) -> int:
    """Read a Job's or Pod's log back from the destination, like `kubectl logs` for Pods that are gone.

    NAME is a Job, a CronJob or a Pod; a directory that no layout matched is found without NAMESPACE/.
    `default/nightly` also finds `nightly-<number>`: the runs of a CronJob, the Pods of an indexed Job.
    """
    wanted = Wanted(*split_target(target), pod=pod, container=container)
    rows = Filter(_since(since, datetime.now(UTC)) if since else None, grep)
    store = store_from(to, config)
    missing: list[str] = []
    every_column = output == "json"
    if following:
        pause = partial(time.sleep, POLL_SECONDS)
        found_rows = follow(store, wanted, pause, rows=rows, every_column=every_column)
        several = True
    else:
        found = find(store, wanted)
        _tell_losses(found)
        found_rows = read_found(store, found, rows=rows, every_column=every_column, warn=missing.append)
        several = len(found.files) > 1
    if output == "json":
        _write_json(found_rows)
    else:
        with_prefix = prefix if prefix is not None else several and sys.stdout.isatty()
        _write_text(found_rows, prefix=with_prefix, timestamps=timestamps)
    for warning in missing:
        click.echo(f"joblog: {printable(warning)}", err=True)
    return 1 if missing else 0


@click.command()
@destination_option
@config_option
@output_option
@click.option("-n", "--namespace", metavar="NAMESPACE", help="Of this namespace alone.")
def jobs(to: str | None, config: Path | None, output: str, namespace: str | None) -> int:
    """List the Jobs that are in the destination: lines, bytes, first and last line, complete or not."""
    store = store_from(to, config)
    summaries = summarise(store, namespace=namespace)
    if output == "json":
        click.echo(indented(summaries, 1).decode())
    elif summaries:
        _show_jobs(summaries)
    else:
        where = f" in namespace {printable(namespace)}" if namespace else ""
        click.echo(f"joblog: there are no Jobs{where} in {printable(store.url)}", err=True)
    return 0


@click.command()
@destination_option
@config_option
@output_option
@click.option("--volume", metavar="DIR", help="Compare with the files of this volume too.")
@click.option(
    "--layout", metavar="L", envvar="JOBLOG_LAYOUT", show_envvar=True, help="What its directory names mean."
)
@click.option(
    "--name", metavar="N", envvar="JOBLOG_NAME", show_envvar=True, help="The volume's name in the export."
)
def verify(
    *,
    to: str | None,
    config: Path | None,
    output: str,
    volume: str | None,
    layout: str | None,
    name: str | None,
) -> int:
    """Prove that each byte is in the destination once: what receipts and records say against all objects.

    Nothing but the destination is needed. With --volume, its files are compared as well.
    """
    store = store_from(to, config)
    tree = None
    if volume:
        tree = _tree(_volume_settings(config, to=to, volume=volume, layout=layout, name=name))
    with progress_bar("verifying objects") as move:

        def progress(state: Progress) -> None:
            if move:
                move(state.objects, state.of_objects)

        report = verify_export(store, volume=name, tree=tree, progress=progress)
    if not report.volumes:
        what = f"volume {name}" if name else "export"
        raise Incomplete(
            f"there is no {what} in {store.url}", hint="is that the URL that the collector writes to?"
        )
    if output == "json":
        click.echo(indented(report, 1).decode())
    else:
        _show_report(report)
    return 0 if report.ok else 1


def _since(text: str, now: datetime) -> datetime:
    try:
        return now - timedelta(seconds=duration_seconds(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(
            f"--since {text!r} is no time", hint="write 10m, 24h, or an RFC 3339 time: 2026-11-22T09:30:00Z"
        )
    return moment


def _tell_losses(found: Found) -> None:
    for loss in found.losses:
        place = f"{loss.source}/{loss.path} bytes [{loss.start}, {loss.end})"
        click.echo(f"joblog: {printable(place)} were lost before they were read: {loss.reason}", err=True)


def _write_json(rows: Iterable[Rows]) -> None:
    for each in rows:
        for line in json_lines(each.rows):
            sys.stdout.write(visible(line) if sys.stdout.isatty() else line)
        sys.stdout.flush()


def _write_text(rows: Iterable[Rows], *, prefix: bool, timestamps: bool) -> None:
    """To a pipe the exact bytes; with a prefix an unterminated last line gets a line feed, so that the
    next file's does not begin behind it.
    """
    stdout = sys.stdout.buffer
    is_terminal = sys.stdout.isatty()
    open_line: Rows | None = None
    for each in rows:
        same = open_line is not None and (open_line.volume, open_line.file) == (each.volume, each.file)
        if open_line is not None and prefix and not same:
            stdout.write(b"\n")
            open_line = None
        if prefix or timestamps:
            label = f"[{printable(each.label)}] " if prefix else ""
            begun = open_line is not None and same
            data = prefixed_bytes(each.rows, label, timestamps=timestamps, begun=begun)
        else:
            data = exact_bytes(each.rows)
        stdout.write(visible(bytes(data).decode(errors="replace")).encode() if is_terminal else data)
        stdout.flush()
        open_line = None if ends_line(each.rows) else each


def _show_jobs(summaries: list[JobSummary]) -> None:
    people = sys.stdout.isatty()
    rows = [
        (
            each.namespace,
            each.job,
            str(each.pods),
            str(each.files),
            str(each.lines),
            human_bytes(each.bytes) if people else str(each.bytes),
            _moment(each.first_observed_at),
            _end(each) if people else _moment(each.last_observed_at),
            "yes" if each.complete else "no",
            str(each.lost_bytes),
        )
        for each in summaries
    ]
    marks = ["red" if each.lost_bytes else "" if each.complete else "yellow" for each in summaries]
    # People look at losses when there are any; a script wants the same columns always.
    shown = len(JOB_COLUMNS) - (people and not any(each.lost_bytes for each in summaries))
    show_table(JOB_COLUMNS[:shown], [row[:shown] for row in rows], marks)


def _end(job: JobSummary) -> str:
    """When the Job's last line was observed: without the date, where that is the first one's."""
    first, last = _moment(job.first_observed_at), _moment(job.last_observed_at)
    date, _, time_of_day = last.partition("T")
    return time_of_day if first.startswith(date) else last


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _show_report(report: Report) -> None:
    for volume in report.volumes:
        show_line(_summary(volume), "red" if volume.differences else "green")
    for difference in report.differences[:SHOWN_DIFFERENCES]:
        show_line(str(difference), "red")
    if len(report.differences) > SHOWN_DIFFERENCES:
        rest = len(report.differences) - SHOWN_DIFFERENCES
        show_line(f"… and {rest} more differences: -o json lists all", "red")
    for note in report.notes:
        show_line(f"note: {note}")


def _summary(volume: VolumeSummary) -> str:
    counts = [
        f"{volume.shards} shards",
        f"{volume.records} records",
        f"{volume.objects} objects",
        f"{volume.sources} sources",
        f"{volume.receipts} receipts",
        f"{volume.files} files",
        f"{volume.lines} lines",
        f"{volume.bytes} bytes",
        f"{volume.lost_bytes} lost bytes",
    ]
    if volume.compared_files:
        counts.append(f"{volume.compared_files} files compared")
    result = f"{volume.differences} differences" if volume.differences else "each byte is there once"
    return f"{volume.volume}: {', '.join(counts)}: {result}"


def _volume_settings(
    config: Path | None, *, to: str | None, volume: str, layout: str | None, name: str | None
) -> VolumeConfig:
    """What options say of the volume; the rest from its place in the settings file, if it has one there.

    Raises ConfigError for all faults at once.
    """
    own = settings_from(config, {"to": to, "volume": volume, "layout": layout, "name": name}).volumes[0]
    given = [key for key, value in (("path", volume), ("layout", layout), ("name", name)) if value]
    for listed in settings_from(config, {"to": to}).volumes if config else ():
        if listed.path == own.path or listed.name == name:
            return replace(listed, **{key: getattr(own, key) for key in given})
    return own


def _tree(settings: VolumeConfig) -> VolumeTree:
    """Raises VolumeError, LayoutError or ConfigError for settings that mean no volume."""
    volume = Volume(settings.path)
    layout = Layout.parse(settings.layout)
    selection = Selection(settings.include, settings.exclude)
    discovery = Discovery(volume, layout, selection, tombstone=settings.tombstone, shard=0, shards=1)
    return VolumeTree(settings.name, _files(volume, discovery))


def _files(volume: Volume, discovery: Discovery) -> Iterator[VolumeFile]:
    try:
        sources = all_sources(discovery)
    except OSError as error:
        raise VolumeError(
            f"volume {volume.path}: {error.strerror}", hint="is it mounted, and may this user read it?"
        ) from None
    for source in sources:
        yield from _files_of(volume, discovery, source)


def _files_of(volume: Volume, discovery: Discovery, source: SourceDir) -> Iterator[VolumeFile]:
    """The source's files; a directory that cannot be listed comes as a file that cannot be read."""
    try:
        look = discovery.look(source)
    except OSError:
        look = Look((), tombstone=False, skipped=(), unreadable=(("", ""),))
    if look is None:
        return
    for below, _ in look.unreadable:
        parts = (*source.parts, *filter(None, below.split("/")))
        yield VolumeFile(source.source, encode_name(below), 0, partial(volume.open_directory, parts))
    for sight in look.files:
        parts = (*source.parts, *sight.name.split("/"))
        yield VolumeFile(source.source, encode_name(sight.name), sight.size, partial(volume.open_file, parts))

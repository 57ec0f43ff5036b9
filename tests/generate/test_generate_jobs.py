"""Jobs on a tree: names that the collector's layouts read back, files, tombstones, time."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.errors import Incomplete, LayoutError
from collector.generate.jobs import TOMBSTONE, Played, play, tree
from collector.generate.specs import JobSpec, specs
from collector.intake.layout import Layout

NOW = datetime(2026, 11, 22, 9, 5, tzinfo=UTC)
NUMBER = re.compile(rb"seq=(\d{9})")
LAYOUTS = (
    "subpath",
    "$(POD_NAMESPACE)_$(POD_NAME)_$(POD_IP)_$(NODE_IP)_$(NODE_NAME)",
    "logs/{namespace}/{pod}/{container}",
    "{team}/{namespace}_{job}_{index}_{pod}",
    "kubelet",
)


class Time:
    """A wall clock and a monotonic one that move when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


def played(root: Path, jobs: list[JobSpec], *, layout: str = "subpath", time: Time | None = None, **how):
    time = time or Time()
    return play(
        root,
        jobs=jobs,
        layout=layout,
        clock=time.clock,
        monotonic=time.monotonic,
        sleep=time.sleep,
        **how,
    )


def logs(root: Path, job: Played) -> list[Path]:
    return sorted(
        path for path in (root / job.source).rglob("*") if path.is_file() and path.name != TOMBSTONE
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_reads_back_what_each_job_was(tmp_path: Path, layout: str):
    """What the collector's own layout makes of each source is the Job that wrote it, IPv6 ones too."""
    jobs = specs(48, seed=5, now=NOW, lines=3)
    done = played(tmp_path, jobs, layout=layout)
    parsed = Layout.parse(layout)
    assert {job.spec for job in done} == set(jobs)
    for job in done:
        origin = parsed.origin(tuple(job.source.split("/")))
        assert origin.matched
        assert (origin.namespace, origin.pod) == (job.spec.namespace, job.spec.pod)
        if "POD_IP" in layout or layout == "subpath":
            assert (origin.pod_ip, origin.node) == (job.spec.pod_ip, job.spec.node)
    assert any(":" in job.pod_ip for job in jobs)


def test_the_kinds_of_jobs_are_all_there():
    """Among several dozen Jobs are an instant one, a bursty one, an indexed one, a CronJob's, a dying one."""
    jobs = specs(48, seed=1, now=NOW, lines=40)
    assert sum(job.instant for job in jobs) == 6
    assert sum(job.burst > 1 for job in jobs) == 6
    assert sorted(job.index for job in jobs if job.index is not None) == [0, 1, 2, 3, 4, 5]
    assert sum(job.dies_mid_line for job in jobs) == 6
    layout = Layout.parse("{namespace}_{pod}")
    origins = [layout.origin((f"{job.namespace}_{job.pod}",)) for job in jobs]
    cron = [origin for origin in origins if origin.cronjob]
    assert {origin.cronjob for origin in cron} == {"nightly"}
    assert max(origin.scheduled_at for origin in cron) == NOW
    assert len({job.pod for job in jobs}) == 48
    assert jobs == specs(48, seed=1, now=NOW, lines=40)


def test_counts_are_what_the_files_say(tmp_path: Path):
    """Lines and bytes of each Job are those of its files; each number is there once."""
    for job in played(tmp_path, specs(16, seed=2, now=NOW, lines=30, log_type="java")):
        data = b"".join(path.read_bytes() for path in logs(tmp_path, job))
        assert job.bytes == len(data)
        assert job.lines == data.count(b"\n") + (not data.endswith(b"\n"))
        assert [int(number) for number in NUMBER.findall(data)] == list(range(1, job.spec.lines + 1))
        assert (tmp_path / job.source / TOMBSTONE).read_text() == f"{job.spec.exit_code}\n"


def test_a_job_that_dies_leaves_half_a_line(tmp_path: Path):
    """Its last line has no line feed, and is not empty."""
    [job] = played(tmp_path, [JobSpec("data", "a", "a-bcdfg", lines=4, dies_mid_line=True, exit_code=137)])
    [log] = logs(tmp_path, job)
    *whole, rest = log.read_bytes().split(b"\n")
    assert len(whole) == 4
    assert rest
    assert job.lines == 5


def test_several_files_share_the_records(tmp_path: Path):
    """Each file of a Job has its part, and together they have each number once."""
    spec = JobSpec("data", "a", "a-bcdfg", lines=10, files=("app.log", "audit.log", "err.log"))
    [job] = played(tmp_path, [spec])
    parts = [NUMBER.findall(path.read_bytes()) for path in logs(tmp_path, job)]
    assert len(parts) == 3
    assert all(parts)
    assert Counter(int(number) for part in parts for number in part) == Counter(range(1, 11))


def test_kubelet_files_are_as_a_container_runtime_writes_them(tmp_path: Path):
    """Each line has time, stream and tag; the file is named for the restart."""
    [job] = played(tmp_path, [JobSpec("data", "a", "a-bcdfg", lines=2, dies_mid_line=True)], layout="kubelet")
    [log] = logs(tmp_path, job)
    assert log.relative_to(tmp_path / job.source) == Path("main/0.log")
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == job.lines == 3
    for line in lines:
        assert re.fullmatch(rb"2026-11-22T09:05:00\.000000000Z stdout F .+\n", line)


def test_jobs_take_the_time_that_their_rates_ask_for(tmp_path: Path):
    """101 lines at 10 a second take 10 s, whoever runs beside; an instant Job takes none."""
    time = Time()
    slow = JobSpec("data", "slow", "slow-bcdfg", lines=101, rate=10)
    instant = JobSpec("data", "now", "now-bcdfg", lines=5, rate=10, instant=True)
    done = played(tmp_path, [slow, instant], time=time)
    assert [job.spec for job in done] == [instant, slow]
    assert time.seconds == pytest.approx(10, abs=0.05)


def test_bursts_come_at_once(tmp_path: Path):
    """A bursty Job has, at any time, written whole bursts."""
    seen = set()

    class Watching(Time):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            seen.update(path.read_bytes().count(b"\n") for path in tmp_path.rglob("app.log"))

    time = Watching()
    played(tmp_path, [JobSpec("data", "a", "a-bcdfg", lines=40, rate=10, burst=10)], time=time)
    assert seen == {10, 20, 30}
    assert time.seconds == pytest.approx(3, abs=0.05)


def test_concurrency_and_starts_are_limited(tmp_path: Path):
    """Never more than two logs are unfinished at once, and no more Jobs have begun than the rate allows."""
    unfinished = []

    class Watching(Time):
        def sleep(self, seconds: float) -> None:
            begun = list(tmp_path.iterdir())
            unfinished.append(sum(not (source / TOMBSTONE).exists() for source in begun))
            assert len(begun) <= 1 + 4 * self.seconds + 1e-6
            super().sleep(seconds)

    jobs = [JobSpec("data", f"a{n}", f"a{n}-bcdfg", lines=11, rate=10) for n in range(9)]
    time = Watching()
    assert len(played(tmp_path, jobs, time=time, concurrency=2, jobs_per_second=4)) == 9
    assert max(unfinished) == 2
    assert time.seconds >= 4.9


def test_stopping_leaves_whole_lines_and_no_tombstone(tmp_path: Path):
    """A Job that is stopped has ended as if killed: no half lines, no word that it is done, no open file."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    time = Time()
    jobs = [JobSpec("data", "a", "a-bcdfg", lines=100, rate=10), JobSpec("data", "b", "b-bcdfg", lines=1)]
    done = played(tmp_path, jobs, time=time, concurrency=1, stopped=lambda: time.seconds > 3)
    assert done == []
    [source] = tmp_path.iterdir()
    assert [path.name for path in source.iterdir()] == ["app.log"]
    assert (source / "app.log").read_bytes().endswith(b"\n")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_no_tombstone_where_none_is_wanted(tmp_path: Path):
    """`tombstone=False` leaves only the logs."""
    played(tmp_path, [JobSpec("data", "a", "a-bcdfg", lines=1)], tombstone=False)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["app.log"]


def test_the_same_job_twice_is_refused_with_what_to_do(tmp_path: Path):
    """Jobs that are on the tree already are not written into; the error names the source."""
    job = JobSpec("data", "a", "a-bcdfg", lines=1)
    played(tmp_path, [job])
    with pytest.raises(Incomplete, match=r"data_a-bcdfg_.*File exists: use an empty root"):
        played(tmp_path, [job])


def test_a_layout_that_is_none_is_refused(tmp_path: Path):
    """With the layout's own words, and before anything is written."""
    with pytest.raises(LayoutError, match="no partner"):
        played(tmp_path, [JobSpec("data", "a", "a-bcdfg", lines=1)], layout="{namespace")
    assert list(tmp_path.iterdir()) == []


def test_a_layout_that_cannot_take_a_value_is_refused(tmp_path: Path):
    """A name that the layout could not read back is an error and no directory without metadata."""
    with pytest.raises(LayoutError, match="does not match"):
        played(tmp_path, [replace(JobSpec("data", "a", "a-bcdfg", lines=1), namespace="No_Namespace")])
    assert list(tmp_path.iterdir()) == []


def test_a_tree_has_what_it_says(tmp_path: Path):
    """Each source has as many lines as returned, about as many bytes as asked; no two logs are alike."""
    counts = tree(tmp_path, jobs=120, bytes_per_job=5000, seed=9)
    contents = {source: (tmp_path / source / "app.log").read_bytes() for source in counts}
    assert sorted(counts) == sorted(path.name for path in tmp_path.iterdir())
    assert counts == {source: data.count(b"\n") for source, data in contents.items()}
    assert len(set(contents.values())) == 120
    sizes = [len(data) for data in contents.values()]
    assert 4500 < sum(sizes) / len(sizes) < 5500
    assert all((tmp_path / source / TOMBSTONE).read_text() == "0\n" for source in counts)


def test_a_tree_is_the_same_for_the_same_seed(tmp_path: Path):
    """Names and bytes."""
    for name in ("one", "two"):
        tree(tmp_path / name, jobs=10, bytes_per_job=2000, seed=4)
    one, two = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two

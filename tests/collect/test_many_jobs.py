"""Thousands of Jobs that are all done: every line once, few objects, a receipt each, nothing to do again."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collector_process import joblog
from exported import folder_of, keys, objects, plain

from collector.generate.jobs import play, tree
from collector.generate.lines import SEEDED_START
from collector.generate.specs import specs

BYTES_PER_JOB = 20 * 1024
LONGEST_SECONDS = 600


def rows_per_source(to: str) -> Counter[str]:
    """How many rows each source has. In columns: there are millions."""
    tables = [
        pq.read_table(pa.BufferReader(body), columns=["source"]) for body in objects(to, "data/").values()
    ]
    counted = (
        pa.concat_tables(plain(table) for table in tables).group_by("source").aggregate([([], "count_all")])
    )
    return Counter({row["source"]: row["count_all"] for row in counted.to_pylist()})


def collect(site, jobs: int) -> None:
    lines = tree(site.volume, jobs=jobs, bytes_per_job=BYTES_PER_JOB)
    began = time.monotonic()
    ended = joblog(*site.arguments("--once"), within=LONGEST_SECONDS)
    seconds = time.monotonic() - began
    assert ended.code == 0, ended.errors
    assert rows_per_source(site.to) == Counter(lines)
    found = keys(site.to)
    data = [key for key in found if key.startswith("data/")]
    receipts = [key for key in found if key.startswith("_joblog/receipts/")]
    assert len(receipts) == jobs
    assert len(data) <= 2 + jobs * BYTES_PER_JOB // (16 << 20)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{jobs} Jobs: {seconds:.1f} s, {len(data)} objects, peak {peak} MiB")  # noqa: T201  # figures
    assert site.verify().code == 0
    assert site.once().code == 0
    assert keys(site.to) == found, "a second run wrote something"


def test_a_thousand_jobs(site):
    """1,000 Jobs of 20 KiB (S3: 300): all lines, each once, in few objects; a second run writes nothing."""
    collect(site, 300 if site.to.startswith("s3:") else 1000)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_ten_thousand_jobs(site):
    """The same with 10,000 (or JOBLOG_JOBS): tens of objects, not thousands."""
    collect(site, int(os.environ.get("JOBLOG_JOBS", "10000")))


def test_duckdb_counts_what_was_generated(local_site):
    """DuckDB reads `data/**/*.parquet` with Hive partitions and counts, per Job, what was written."""
    lines = tree(local_site.volume, jobs=300, bytes_per_job=2048)
    assert local_site.once().code == 0
    pattern = folder_of(local_site.to) / "data/**/*.parquet"
    database = duckdb.connect()
    rows = database.execute(
        'SELECT source, count(*), count(DISTINCT (source, path, generation, "offset")), min(namespace),'
        " min(job), min(date), min(hour) FROM read_parquet(?, hive_partitioning = true) GROUP BY source",
        [str(pattern)],
    ).fetchall()
    assert {row[0]: row[1] for row in rows} == lines
    for source, count, distinct, namespace, job, date, hour in rows:
        assert count == distinct
        namespace_there, pod = source.split("_")[:2]
        assert (namespace, job) == (namespace_there, pod.rsplit("-", 1)[0])
        assert date is not None
        assert 0 <= int(hour) <= 23


def test_duckdb_counts_by_cronjob_and_index(volume, local_site):
    """Jobs of all kinds: DuckDB counts, per CronJob and per index, what was written; offsets begin at 0, end
    before the file's end, and no place is there twice.
    """
    layout = "{namespace}_{pod}_{index}_{node}"
    jobs = specs(48, now=SEEDED_START, lines=40)
    played = play(
        volume, jobs=jobs, layout=layout, clock=None, monotonic=lambda: 0.0, sleep=lambda _seconds: None
    )
    assert local_site.once("--layout", layout).code == 0
    database = duckdb.connect()
    pattern = str(folder_of(local_site.to) / "data/**/*.parquet")
    database.execute(
        f"CREATE VIEW logs AS SELECT * FROM read_parquet('{pattern}', hive_partitioning = true)"  # noqa: S608
    )

    def counted(column: str) -> dict[object, int]:
        return dict(database.execute(f"SELECT {column}, count(*) FROM logs GROUP BY ALL").fetchall())  # noqa: S608

    cronjobs, indexes = Counter(), Counter()
    for job in played:
        cronjobs["nightly" if job.spec.job.startswith("nightly-") else None] += job.lines
        indexes["" if job.spec.index is None else str(job.spec.index)] += job.lines
    assert counted("cronjob") == cronjobs
    assert counted("coalesce(\"index\", '')") == indexes
    sizes = {job.source: job.bytes for job in played}
    places = 'count(*), count(DISTINCT (source, path, generation, "offset")), min("offset"), max("offset")'
    for source, rows, distinct, first, last in database.execute(
        f"SELECT source, {places} FROM logs GROUP BY source"  # noqa: S608
    ).fetchall():
        assert rows == distinct
        assert first == 0
        assert last < sizes[source]

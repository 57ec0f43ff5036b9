"""An export of a real collector, damaged in each way that one can think of: `verify` finds all of them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collector_process import AS_ANYBODY, Site, joblog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rebuilt import rewrite

from collector.query.verify import verify
from collector.sink.local import LocalStore

Draw = Callable[[st.SearchStrategy[Any]], Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three Pods, two runs: several objects, two revisions of each receipt, one file lost unread."""
    root = tmp_path_factory.mktemp("damaged")
    (root / "volume").mkdir()
    site = Site(root / "volume", str(root / "export"), root / "state")
    for run in (1, 2):
        for number in range(3):
            source = site.source(f"pod{number}-bcdfg")
            with (source / "app.log").open("a") as log:
                log.writelines(f"{run} {number} {line} of the log\n" for line in range(50 + number))
        if run == 2:
            (source / "secret.log").write_text("nobody may read this\n")
            (source / "secret.log").chmod(0)
        done = joblog(*site.arguments("--once", "--complete"), prefix=AS_ANYBODY)
        assert done.code == run - 1, done.stderr
    assert verify(LocalStore(root / "export", url="")).ok
    return root / "export"


def matching(export: Path, draw: Draw, pattern: str) -> Path:
    return draw(st.sampled_from(sorted(export.glob(pattern))))


def an_object(export: Path, draw: Draw) -> Path:
    return matching(export, draw, "data/*/*/*.parquet")


def delete_an_object(export: Path, draw: Draw) -> None:
    an_object(export, draw).unlink()


def empty_an_object(export: Path, draw: Draw) -> None:
    an_object(export, draw).write_bytes(b"")


def flip_a_byte(export: Path, draw: Draw) -> None:
    """Anywhere: a wrong minimum hides rows from engines too."""
    found = an_object(export, draw)
    body = bytearray(found.read_bytes())
    body[draw(st.integers(0, len(body) - 1))] ^= draw(st.integers(1, 255))
    found.write_bytes(body)


def table_of(body: bytes) -> pa.Table | None:
    try:
        return pq.read_table(io.BytesIO(body))
    except (pa.ArrowException, OSError):
        return None


def drop_a_row(export: Path, draw: Draw) -> None:
    found = an_object(export, draw)
    table = table_of(found.read_bytes())
    gone = draw(st.integers(0, len(table) - 1))
    rewrite(found, table.take([row for row in range(len(table)) if row != gone]))


def double_a_row(export: Path, draw: Draw) -> None:
    found = an_object(export, draw)
    table = table_of(found.read_bytes())
    twice = draw(st.integers(0, len(table) - 1))
    rewrite(found, pa.concat_tables([table, table.slice(twice, 1)]))


def change_a_pod(export: Path, draw: Draw) -> None:
    found = an_object(export, draw)
    table = table_of(found.read_bytes())
    column = draw(st.sampled_from(["namespace", "job", "pod", "pod_ip", "node_ip", "node"]))
    values = table[column].to_pylist()
    values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from(["another", None]))
    index = table.column_names.index(column)
    rewrite(found, table.set_column(index, column, pa.array(values, pa.string()).dictionary_encode()))


def copy_under_another_number(export: Path, draw: Draw) -> None:
    found = an_object(export, draw)
    found.with_name(found.name.replace("-0000000000", "-0000000009")).write_bytes(found.read_bytes())


def swap_two_objects(export: Path, draw: Draw) -> None:
    first, second = draw(st.permutations(sorted(export.glob("data/*/*/*.parquet"))))[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def delete_a_record(export: Path, draw: Draw) -> None:
    matching(export, draw, "_joblog/commits/*/*/*.json").unlink()


def edited(found: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    body = json.loads(found.read_text())
    edit(body)
    found.write_text(json.dumps(body))


def add_an_unknown_key(export: Path, draw: Draw) -> None:
    edited(matching(export, draw, "_joblog/*/**/*.json"), lambda body: body.update(colour="red"))


def a_batch(export: Path, draw: Draw) -> Path:
    batches = [
        found
        for found in sorted(export.glob("_joblog/commits/*/*/*.json"))
        if json.loads(found.read_text())["kind"] == "batch"
    ]
    return draw(st.sampled_from(batches))


def change_a_record(export: Path, draw: Draw) -> None:
    def edit(body: dict[str, Any]) -> None:
        span = draw(st.sampled_from(body["spans"]))
        which = draw(st.sampled_from(["start", "end", "rows", "line_feeds", "xxh3_128", "of all"]))
        if which == "of all":
            body[draw(st.sampled_from(["rows", "bytes", "sequence", "epoch", "shard"]))] += 1
        elif which == "xxh3_128":
            span[which] = "0" * 32
        else:
            span[which] += draw(st.sampled_from([-1, 1]))

    edited(a_batch(export, draw), edit)


def drop_a_span(export: Path, draw: Draw) -> None:
    edited(a_batch(export, draw), lambda body: body["spans"].pop())


def a_receipt(export: Path, draw: Draw) -> Path:
    return matching(export, draw, "_joblog/receipts/*/*.json")


def change_a_receipt(export: Path, draw: Draw) -> None:
    def edit(body: dict[str, Any]) -> None:
        file = draw(st.sampled_from([file for file in body["files"] if file["bytes"]]))
        which = draw(st.sampled_from(["bytes", "lines", "sha256", "path", "generation", "pod", "revision"]))
        if which in ("bytes", "lines", "generation"):
            file[which] += 1
        elif which in ("pod", "revision"):
            body[which] = "another" if which == "pod" else body[which] + 1
        else:
            file[which] = "0" * 64

    edited(a_receipt(export, draw), edit)


def change_the_objects_of_a_receipt(export: Path, draw: Draw) -> None:
    def edit(body: dict[str, Any]) -> None:
        known = [found.relative_to(export).as_posix() for found in export.glob("data/*/*/*.parquet")]
        others = sorted(set(known) - set(body["objects"]))
        if others and draw(st.booleans()):
            body["objects"].append(others[0])
        else:
            body["objects"].pop()

    edited(a_receipt(export, draw), edit)


def forge_a_loss(export: Path, draw: Draw) -> None:
    loss = {"path": "app.log", "generation": 0, "start": 0, "end": 5, "reason": "deleted"}
    edited(a_receipt(export, draw), lambda body: body["losses"].append(loss))


def hide_a_loss(export: Path, draw: Draw) -> None:
    (found,) = [path for path in export.glob("_joblog/receipts/*/*.json") if "unreadable" in path.read_text()]
    which = draw(st.sampled_from(["gone", "shorter", "another reason"]))

    def edit(body: dict[str, Any]) -> None:
        if which == "gone":
            body["losses"].clear()
        elif which == "shorter":
            body["losses"][0]["end"] -= 1
        else:
            body["losses"][0]["reason"] = "deleted"

    edited(found, edit)


def remove_an_earlier_revision(export: Path, draw: Draw) -> None:
    matching(export, draw, "_joblog/receipts/*/*.1.json").unlink()


def cut_a_receipt_short(export: Path, draw: Draw) -> None:
    found = a_receipt(export, draw)
    found.write_text(found.read_text()[:-20])


DAMAGES = [
    delete_an_object,
    empty_an_object,
    flip_a_byte,
    drop_a_row,
    double_a_row,
    change_a_pod,
    copy_under_another_number,
    swap_two_objects,
    delete_a_record,
    add_an_unknown_key,
    change_a_record,
    drop_a_span,
    change_a_receipt,
    change_the_objects_of_a_receipt,
    forge_a_loss,
    hide_a_loss,
    remove_an_earlier_revision,
    cut_a_receipt_short,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_finds_every_damage(sound: Path, tmp_path: Path, damage) -> None:
    """Whatever is changed, removed, doubled or forged in an export: `verify` reports a difference."""

    @settings(
        max_examples=6,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.data())
    def found(data: st.DataObject) -> None:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(sound, copy)
        damage(copy, data.draw)
        report = verify(LocalStore(copy, url=""))
        # A loss may be recorded after the last object of a receipt, and before the next receipt: then it is
        # told of, but no fault.
        assert report.differences or (damage is hide_a_loss and "21 bytes were lost" in report.notes[0])

    found()

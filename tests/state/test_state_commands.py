"""`joblog checkpoints`: what it shows of state folders, and that it mends a damaged one."""

from __future__ import annotations

import json

import pytest

from collector.cli import main
from collector.records import encode_record, record_key
from collector.sink.local import LocalStore
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder


@pytest.fixture
def records(make):
    spans = (make.span("app.log", end=10), make.span("err\x1b[2J.log", end=5))
    return [make.open(), make.batch(1, *spans), make.batch(2, make.span(start=10, end=12))]


@pytest.fixture
def state(tmp_path, make, records):
    """A state folder as a collector leaves it: of volume v, shard 0."""
    folder = StateFolder(tmp_path / "state", "v", 0)
    folder.lock(make.owner)
    folder.append(records=records, completed=2)
    folder.close()
    return tmp_path / "state"


@pytest.fixture
def destination(tmp_path, records):
    """The commit records of the same shard in a folder."""
    (tmp_path / "export").mkdir()
    store = LocalStore(tmp_path / "export", url=str(tmp_path / "export"))
    for record in records:
        assert store.put_new(record_key("v", 0, record.sequence), encode_record(record))
    return tmp_path / "export"


def joblog(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_ls(state, capsys):
    """Each shard is a line with its numbers."""
    assert joblog("checkpoints", "ls", "--state", state) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["VOLUME", "SHARD", "SEQUENCE", "EPOCH", "SOURCES", "FILES", "HELD", "BY"]
    assert row.split() == ["v", "000", "3", "1", "1", "2", "-"]


def test_ls_says_who_holds_a_shard(state, make, capsys):
    """While a collector runs, its host, pid and start stand in the line."""
    folder = StateFolder(state, "v", 0)
    folder.lock(make.owner)
    assert joblog("checkpoints", "ls", "--state", state, "-o", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["held_by"].startswith("node-1 pid 4711 since 2")
    assert (row["volume"], row["sequence"], row["files"]) == ("v", 3, 2)
    folder.close()


def test_ls_of_nothing(tmp_path, capsys):
    """An empty state folder is no error."""
    assert joblog("checkpoints", "ls", "--state", tmp_path, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert joblog("checkpoints", "ls", "--state", tmp_path) == 0


def test_ls_takes_the_state_of_a_config(state, tmp_path, capsys):
    """The collector's own file says where its state is."""
    config = tmp_path / "joblog.yaml"
    config.write_text(f"volumes: [{{path: {tmp_path}}}]\nstate: {state}\n")
    assert joblog("checkpoints", "ls", "--config", config, "-o", "json") == 0
    assert [row["volume"] for row in json.loads(capsys.readouterr().out)] == ["v"]


def test_show(state, capsys):
    """Each file is a line with its offset; nothing in a name reaches the terminal as a command."""
    assert joblog("checkpoints", "show", "v", "--state", state) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    first, _, app, err = out.splitlines()
    assert first == "v/000: next record 3, epoch 1"
    assert app.split() == ["ns_pod", "app.log", "0", "12", "12", "2", "-"]
    assert err.split()[:4] == ["ns_pod", "err\\x1b[2J.log", "0", "5"]


def test_show_one_source_as_json(state, capsys):
    """A shard and a source narrow it down; scripts get the checkpoint's own values."""
    assert joblog("checkpoints", "show", "v/000", "ns_pod", "--state", state, "-o", "json") == 0
    (content,) = json.loads(capsys.readouterr().out)
    assert [(at["file"]["path"], at["offset"]) for at in content["files"]] == [
        ("app.log", 12),
        ("err\x1b[2J.log", 5),
    ]
    assert len(content["sources"][0]["objects"]) == 2


@pytest.mark.parametrize("what", [["w"], ["v/001"], ["v", "no_such_source"]])
def test_show_of_something_unknown(state, capsys, what):
    """What is not there gives one line and exit code 1."""
    assert joblog("checkpoints", "show", *what, "--state", state) == 1
    assert f"no checkpoint of {' '.join(what)}" in capsys.readouterr().err


def test_a_name_that_is_no_name(state, capsys):
    """Something that cannot be a volume's name is refused as such."""
    assert joblog("checkpoints", "show", "../v", "--state", state) == 2
    assert "../v names no shard" in capsys.readouterr().err


def test_damage_is_told_and_rebuilt(state, destination, records, capsys):
    """A damaged journal: `ls` says where, `rebuild` sets it aside and makes the checkpoint again."""
    journal = state / "v" / "000" / "journal.jsonl"
    damaged = journal.read_bytes().replace(b"app.log", b"app.lag", 1)
    journal.write_bytes(damaged)
    assert joblog("checkpoints", "ls", "--state", state) == 4
    assert "journal.jsonl:3: the checksum does not fit the line" in capsys.readouterr().err
    assert joblog("checkpoints", "show", "v", "--state", state) == 4
    assert "joblog checkpoints rebuild" in capsys.readouterr().err
    assert joblog("checkpoints", "rebuild", "v", "--to", destination, "--state", state) == 0
    told = capsys.readouterr()
    assert told.out == "v/000: rebuilt from 3 records: 1 sources, 2 files\n"
    assert "journal.jsonl.aside-1" in told.err
    assert journal.with_name("journal.jsonl.aside-1").read_bytes() == damaged
    expected = Checkpoint("v", 0)
    for record in records:
        expected.apply(record)
    assert list(StateFolder(state, "v", 0).load().dump()) == list(expected.dump())


def test_rebuild_of_a_missing_state_folder(tmp_path, destination, capsys):
    """There need not be a folder at all."""
    assert joblog("checkpoints", "rebuild", "v/000", "--to", destination, "--state", tmp_path / "new") == 0
    assert StateFolder(tmp_path / "new", "v", 0).load().sequence == 3


def test_rebuild_is_refused_while_a_collector_runs(state, destination, make, capsys):
    """The folder of a running collector is left alone, exit code 4."""
    before = (state / "v" / "000" / "journal.jsonl").read_bytes()
    folder = StateFolder(state, "v", 0)
    folder.lock(make.owner)
    assert joblog("checkpoints", "rebuild", "v", "--to", destination, "--state", state) == 4
    assert "in use by node-1 pid 4711" in capsys.readouterr().err
    folder.close()
    assert (state / "v" / "000" / "journal.jsonl").read_bytes() == before


def test_rebuild_from_nothing_changes_nothing(state, tmp_path, capsys):
    """A destination that knows nothing of the volume is told, and the folder stays."""
    (tmp_path / "empty").mkdir()
    assert joblog("checkpoints", "rebuild", "v", "--to", tmp_path / "empty", "--state", state) == 1
    assert "has no commit records of v" in capsys.readouterr().err
    assert StateFolder(state, "v", 0).load().sequence == 3


def test_rebuild_keeps_the_folder_where_the_records_are_damaged(state, destination, capsys):
    """A record that cannot be read ends it before anything is set aside."""
    record = destination / record_key("v", 0, 1)
    record.unlink()
    record.write_text("{")
    assert joblog("checkpoints", "rebuild", "v", "--to", destination, "--state", state) == 3
    assert "000000000001.json: not valid JSON" in capsys.readouterr().err
    assert StateFolder(state, "v", 0).load().sequence == 3

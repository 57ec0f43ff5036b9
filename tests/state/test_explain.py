"""`joblog explain`: each reason for which a file is, or is not, collected, on a real volume."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from collector.cli import main
from collector.state.folder import StateFolder

SOURCE = "shop_report-7xk2p_10.0.0.9_192.168.0.2_node-1"


class Tree:
    """A volume with one Pod's directory, and what the command says of paths in it."""

    def __init__(self, root, capsys):
        self.volume = root / "volume"
        self.state = root / "state"
        self.source = self.volume / SOURCE
        self.source.mkdir(parents=True)
        self._capsys = capsys

    def write(self, name: str, body: bytes = b"one\ntwo\n"):
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    def explain(self, path, *more) -> tuple[int, str]:
        code = main(
            ["explain", str(path), "--volume", str(self.volume), "--state", str(self.state), *map(str, more)]
        )
        told = self._capsys.readouterr()
        assert told.err == ""
        return code, told.out

    def facts(self, path, *more) -> dict:
        return json.loads(self.explain(path, "-o", "json", *more)[1])


@pytest.fixture
def tree(tmp_path, capsys):
    return Tree(tmp_path, capsys)


@pytest.fixture
def commit(tree, make):
    """Commits spans of the Pod's directory, as a collector would."""

    def commit(*spans, sources=(SOURCE,), changes=()):
        folder = StateFolder(tree.state, "default", 0)
        folder.lock(make.owner)
        opened = replace(make.open(), volume="default")
        folder.append(records=[opened, replace(make.batch(1, *spans, sources=sources), volume="default")])
        folder.append(sources=[change(folder.load().sources[SOURCE]) for change in changes])
        folder.close()

    return commit


def test_file_that_will_be_collected(tree):
    """A file of a Pod: whose it is by the layout, and that nothing of it is committed yet."""
    code, out = tree.explain(tree.write("app.log"))
    assert code == 0
    assert "app.log is collected: it is a file of its source" in out
    for fact in ("namespace  shop", "job        report", "pod        report-7xk2p", "node_ip    192.168.0.2"):
        assert f"  {fact}\n" in out
    assert f"  source     {SOURCE} (as the layout says: subpath)" in out
    assert "  committed  nothing yet (there is no checkpoint in " in out


def test_committed_and_behind(tree, commit, make):
    """With a checkpoint: how much is committed, and how much is not."""
    path = tree.write("app.log", b"x" * 100)
    commit(make.span(end=60))
    code, out = tree.explain(path)
    assert code == 0
    assert "  committed  60 bytes, as app.log generation 0; 40 bytes behind" in out
    assert "  receipt    none yet" in out
    assert tree.facts(path)["standing"] == {
        "path": "app.log",
        "generation": 0,
        "committed_bytes": 60,
        "lag_bytes": 40,
    }


def test_receipt_of_its_source(tree, commit, make):
    """A finished source: the revision of its receipt, and by what it was finished."""
    path = tree.write("app.log", b"x" * 60)
    commit(make.span(end=60), changes=[lambda it: replace(it, revision=2, finished_by="tombstone")])
    _, out = tree.explain(path)
    assert "as app.log generation 0; all of it" in out
    assert "  receipt    revision 2, finished by tombstone" in out


def test_bytes_after_a_receipt(tree, commit, make):
    """A source that went on after its receipt is told as such."""
    path = tree.write("app.log", b"x" * 60)
    commit(make.span(end=60), changes=[lambda it: replace(it, revision=2, finished_by=None)])
    assert "  receipt    revision 2; more came after it" in tree.explain(path)[1]


def test_renamed_file_is_known_by_its_inode(tree, commit, make):
    """After a rotation the file under the new name is the old one, and the old name's is new."""
    path = tree.write("app.log", b"x" * 60)
    commit(make.span(end=60, inode=path.stat().st_ino))
    moved = path.rename(path.with_name("app.log.1"))
    assert "60 bytes, as app.log generation 0; all of it" in tree.explain(moved)[1]


def test_newest_generation_and_a_shorter_file(tree, commit, make):
    """Of several contents of one path the last counts; a file shorter than it will be a further one."""
    path = tree.write("app.log", b"x" * 5)
    commit(make.span(end=60), make.span(end=40, generation=1))
    assert "40 bytes, as app.log generation 1; the file is shorter" in tree.explain(path)[1]


def test_file_that_is_gone(tree, commit, make):
    """What went after it was committed is still explained, exit code 0; what never was there is not."""
    commit(make.span(end=60))
    code, out = tree.explain(tree.source / "app.log")
    assert code == 0
    assert "is collected: it was, before it went from the volume" in out
    code, out = tree.explain(tree.source / "never.log")
    assert code == 1
    assert "there is no such file, and nothing of it is committed" in out


def test_unmatched_directory_is_collected_without_metadata(tree):
    """A directory that the layout does not know is a source all the same."""
    (tree.volume / "scratch").mkdir()
    (tree.volume / "scratch" / "x.log").write_text("x\n")
    code, out = tree.explain(tree.volume / "scratch" / "x.log")
    assert code == 0
    assert "  source     scratch (not as the layout says: subpath)" in out
    assert "namespace" not in out


def test_file_in_the_root(tree):
    """Files directly in the volume have the source "."."""
    (tree.volume / "x.log").write_text("x\n")
    facts = tree.facts(tree.volume / "x.log")
    assert (facts["collected"], facts["origin"]["source"], facts["file"]) == (True, ".", "x.log")


def test_layout_of_several_levels(tree):
    """The source ends at the level of the Pod; deeper levels say more of the file."""
    below = tree.volume / "shop_report-7xk2p_0b3c" / "main"
    below.mkdir(parents=True)
    (below / "0.log").write_text("x\n")
    facts = tree.facts(below / "0.log", "--layout", "kubelet")
    assert (facts["origin"]["source"], facts["file"]) == ("shop_report-7xk2p_0b3c", "main/0.log")
    assert (facts["origin"]["container"], facts["origin"]["pod"]) == ("main", "report-7xk2p")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tombstone", "it is the tombstone"),
        ("app.log.1.gz", "leaves it out"),
        (".nfs0001", "leaves it out"),
        ("sub/tombstone", None),
    ],
)
def test_names_that_are_left_out(tree, name, says):
    """Tombstone and archives are not collected; a tombstone's name counts at the top of its source only."""
    code, out = tree.explain(tree.write(name))
    assert (code, says is None or says in out) == (0 if says is None else 1, True)


def test_globs_of_the_configuration(tree, tmp_path, capsys):
    """include and exclude of the volume that holds the file decide."""
    config = tmp_path / "joblog.yaml"
    config.write_text(f"volumes: [{{path: {tree.volume}, exclude: ['debug*']}}]\nstate: {tree.state}\n")
    assert main(["explain", str(tree.write("debug.log")), "--config", str(config)]) == 1
    assert "include, exclude, or the rule for archives" in capsys.readouterr().out
    assert main(["explain", str(tree.write("app.log")), "--config", str(config)]) == 0


def test_what_is_no_regular_file(tree):
    """Links, directories and pipes are told apart."""
    target = tree.write("real/app.log")
    (tree.source / "link.log").symlink_to(target)
    (tree.source / "links").symlink_to(target.parent)
    os.mkfifo(tree.source / "pipe")
    for path, says in (
        (tree.source / "link.log", "it is a symbolic link; links are never followed"),
        (tree.source / "links" / "app.log", f"{SOURCE}/links is a symbolic link"),
        (tree.source / "pipe", "it is no regular file"),
        (tree.source, "it is a directory; files in it are: ask for one of them"),
        (tree.volume, "it is a directory"),
    ):
        code, out = tree.explain(path)
        assert (code, says in out) == (1, True), out


def test_directory_shows_its_source(tree):
    """Of a source directory itself the metadata is shown."""
    assert tree.facts(tree.source)["origin"]["pod"] == "report-7xk2p"


def test_path_below_no_volume(tree, tmp_path):
    """A path elsewhere is told the volumes that there are."""
    code, out = tree.explain(tmp_path / "elsewhere.log")
    assert code == 1
    assert f"it is below no volume ({tree.volume})" in out


def test_volume_behind_a_link(tree, tmp_path):
    """A volume may be configured, or the path given, through a link above it."""
    (tmp_path / "mnt").symlink_to(tree.volume)
    tree.write("app.log")
    assert tree.explain(tmp_path / "mnt" / SOURCE / "app.log")[0] == 0
    path = tree.source / "app.log"
    tree.volume = tmp_path / "mnt"
    assert tree.explain(path)[0] == 0


def test_hostile_names(tree):
    """Names that could move a cursor or break a line are shown encoded."""
    raw = os.fsdecode(b"a\x1b[2J\nb\xff%.log")
    code, out = tree.explain(tree.write(raw))
    assert code == 0
    assert "\x1b" not in out
    assert "  file       a%1B[2J%0Ab%FF%25.log\n" in out


def test_shard_of_a_source(tree, commit, make):
    """The shard is that which the source's name gives, and its state folder is the one that is asked."""
    path = tree.write("app.log")
    facts = tree.facts(path, "--shards", "1")
    assert facts["shard"] == 0
    shards = {tree.facts(path, "--shards", number)["shard"] for number in (2, 3, 5, 7, 11, 13)}
    assert shards != {0}


def test_damaged_state_is_told_and_the_rest_explained(tree, commit, make):
    """A state folder that cannot be read does not hide what the volume says."""
    path = tree.write("app.log")
    commit(make.span(end=4), changes=[lambda it: it])
    journal = tree.state / "default" / "000" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"app.log", b"app.lag", 1))
    code, out = tree.explain(path)
    assert code == 0
    assert "journal.jsonl:3: the checksum does not fit the line" in out

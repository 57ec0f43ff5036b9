"""What exists on a volume: sources by the layout, files below them, and nothing that a link leads to."""

from __future__ import annotations

import os
import resource
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from collector.errors import VolumeError
from collector.intake.discover import DEEPEST_LEVEL, Discovery, Look, SourceDir
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.listing import Listing, all_sources
from collector.intake.volume import Volume

POD = "shop_load-4xk2p"


@pytest.fixture
def discover(root: Path):
    """Discoveries of the test's volume; they are closed at the end."""
    volumes: list[Volume] = []

    def make(layout: str = "{namespace}_{pod}", *, shard: int = 0, shards: int = 1, exclude=()) -> Discovery:
        volumes.append(Volume(root))
        selection = Selection(["**"], list(exclude))
        return Discovery(
            volumes[-1], Layout.parse(layout), selection, tombstone="tombstone", shard=shard, shards=shards
        )

    yield make
    for volume in volumes:
        volume.close()


def names(look: Look | None) -> list[str]:
    assert look is not None
    return [sight.name for sight in look.files]


def look_at(discovery: Discovery, *parts: str) -> Look:
    look = discovery.look(discovery.directory(parts))
    assert look is not None
    return look


def open_descriptors() -> set[int]:
    """Those of this process, without the one that this listing takes."""
    listed = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    return {number for number in listed if Path(f"/proc/self/fd/{number}").exists()}


def found(discovery: Discovery) -> dict[str, bool]:
    """The sources, and whether only the files directly in them are theirs."""
    return {directory.source: directory.flat for directory in all_sources(discovery)}


# --- sources


def test_one_level(root: Path, discover):
    """Each directory below the root is a source, whether the layout matches it or not; files in the root are
    those of the source ".".
    """
    for name in (POD, "lost+found", "a b"):
        (root / name).mkdir()
    assert found(discover()) == {POD: False, "lost+found": False, "a b": False}
    (root / "stray.log").touch()
    assert found(discover())["."] is True


def test_several_levels(root: Path, discover):
    """A source is the directory at the level that names the Pod; what does not match on the way is one
    itself, and so are directories that hold files on the way.
    """
    for name in ("logs/shop/load-4xk2p/main", "logs/shop/with.dots", "logs/Not A Namespace/x", "other/shop"):
        (root / name).mkdir(parents=True)
    (root / "logs" / "shop" / "stray.log").touch()
    assert found(discover("logs/{namespace}/{pod}/{container}")) == {
        "logs/shop/load-4xk2p": False,
        "logs/shop/with.dots": False,
        "logs/Not A Namespace": False,
        "other": False,
        "logs/shop": True,
    }


def test_files_on_the_way_belong_to_the_directory_they_are_in(root: Path, discover):
    """A flat source holds its own files, and none of those below."""
    (root / "shop" / "load-4xk2p").mkdir(parents=True)
    (root / "shop" / "load-4xk2p" / "app.log").touch()
    (root / "shop" / "stray.log").touch()
    discovery = discover("{namespace}/{pod}")
    assert names(look_at(discovery, "shop")) == ["stray.log"]
    assert names(look_at(discovery, "shop", "load-4xk2p")) == ["app.log"]


def test_a_source_is_flat_or_not_by_its_name_alone(root: Path, discover):
    """What a checkpoint names is the same source that a listing finds: a directory on the way does not take
    in what is below it, even after its last own file is gone.
    """
    (root / "shop" / "load-4xk2p").mkdir(parents=True)
    (root / "shop" / "stray.log").touch()
    (root / "stray.log").touch()
    (root / "Not A Namespace" / "x").mkdir(parents=True)
    discovery = discover("{namespace}/{pod}")
    sources = all_sources(discovery)
    assert len(sources) == 4
    assert [discovery.directory(source.parts) for source in sources] == sources


@pytest.mark.parametrize("shards", [2, 3, 7])
def test_shards_partition_the_sources(root: Path, discover, shards: int):
    """Every source is exactly one shard's."""
    expected = {f"shop_load-{number:05d}" for number in range(50)}
    for name in expected:
        (root / name).mkdir()
    (root / "stray.log").touch()
    parts = [set(found(discover(shard=shard, shards=shards))) for shard in range(shards)]
    assert set.union(*parts) == expected | {"."}
    assert sum(len(part) for part in parts) == len(expected) + 1


def test_links_and_special_files_are_no_sources(root: Path, discover, tmp_path: Path):
    """A link to a directory is not followed, and told of."""
    (tmp_path / "elsewhere").mkdir()
    (root / POD).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "pipe")
    discovery = discover()
    assert all_sources(discovery) == []
    listing = Listing(discovery, trusts_mtimes=False)
    assert list(listing.run(0.0, fully=True)) == [None]
    assert sorted(listing.skipped) == [("pipe", "special"), (POD, "symlink")]


def test_a_volume_that_is_none(tmp_path: Path):
    """A path that is missing, or no directory, is one clear error."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(VolumeError, match=str(path)):
            Volume(path)


# --- files


def test_files_at_any_depth(root: Path, discover):
    """All regular files below a source are its own, by their relative names, in order."""
    for name in ("b.log", "a/deep/c.log", "a/d.log", ".hidden"):
        path = root / POD / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(name))
    look = look_at(discover(), POD)
    assert names(look) == [".hidden", "a/d.log", "a/deep/c.log", "b.log"]
    for sight in look.files:
        status = (root / POD / sight.name).stat()
        assert (sight.device, sight.inode) == (status.st_dev, status.st_ino)
        assert (sight.size, sight.mtime_ns) == (len(sight.name), status.st_mtime_ns)


def test_a_source_that_is_gone(root: Path, discover):
    """None for a directory that is not there, or is a file or a link by now."""
    discovery = discover()
    assert discovery.look(SourceDir(POD, flat=False)) is None
    (root / POD).touch()
    assert discovery.look(SourceDir(POD, flat=False)) is None
    assert discovery.mtime_ns(SourceDir(POD, flat=False)) is None


def test_links_are_never_followed(root: Path, discover, tmp_path: Path):
    """Not to files, not to directories, not to what is not there: each is told of."""
    pod = root / POD
    pod.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret\n")
    (pod / "file").symlink_to(outside / "secret")
    (pod / "directory").symlink_to(outside)
    (pod / "dangling").symlink_to(outside / "nothing")
    (pod / "loop").symlink_to(pod / "loop")
    look = look_at(discover(), POD)
    assert look.files == ()
    assert sorted(look.skipped) == [(name, "symlink") for name in ("dangling", "directory", "file", "loop")]


def test_special_files_are_passed_over(root: Path, discover):
    """FIFOs and sockets are not opened, which could wait for ever, and are told of."""
    pod = root / POD
    pod.mkdir()
    os.mkfifo(pod / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(pod / "socket"))
        look = look_at(discover(), POD)
    assert look.files == ()
    assert sorted(look.skipped) == [("pipe", "special"), ("socket", "special")]


def test_swapped_between_look_and_open(root: Path, discover, tmp_path: Path):
    """What was a file or directory when it was seen and is a link when it is opened is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "app.log").write_text("secret\n")
    pod = root / POD
    (pod / "below").mkdir(parents=True)
    (pod / "below" / "app.log").touch()
    (pod / "app.log").touch()
    discovery, volume = discover(), Volume(root)
    assert names(look_at(discovery, POD)) == ["app.log", "below/app.log"]
    (pod / "app.log").unlink()
    (pod / "app.log").symlink_to(outside / "app.log")
    (pod / "below").rename(tmp_path / "aside")
    (pod / "below").symlink_to(outside)
    for parts in ((POD, "app.log"), (POD, "below", "app.log")):
        with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
            volume.open_file(parts)
    pod.rename(tmp_path / "pod")
    pod.symlink_to(outside)
    with pytest.raises(OSError, match="Not a directory"):
        volume.open_directory((POD,))
    os.mkfifo(tmp_path / "pod" / "pipe")
    pod.unlink()
    (tmp_path / "pod").rename(pod)
    with pytest.raises(OSError, match="not a regular file"):
        volume.open_file((POD, "pipe"))
    volume.close()


def test_no_descriptor_is_left_open(root: Path, discover):
    """Looking and failing to open leave nothing behind."""
    pod = root / POD
    (pod / "a" / "b").mkdir(parents=True)
    os.mkfifo(pod / "pipe")
    discovery, volume = discover(), Volume(root)
    before = len(open_descriptors())
    for _ in range(3):
        all_sources(discovery)
        look_at(discovery, POD)
        for name in ("pipe", "missing", "a"):
            with pytest.raises(OSError, match=r"regular|No such|Not a"):
                volume.open_file((POD, name, *(["x"] if name == "a" else [])))
    assert len(open_descriptors()) == before
    volume.close()


def test_a_deep_tree(root: Path, discover):
    """1,000 levels need no more descriptors than a few; what is deeper than allowed is told of, once."""
    (root / POD).mkdir()
    here = os.open(root / POD, os.O_RDONLY)
    for level in range(1000):
        name = f"{level:04d}"
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    discovery = discover()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(open_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
    try:
        look = look_at(discovery, POD)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        subprocess.run(["rm", "-r", root / POD], check=True)  # too deep for whoever tidies up by recursion
    assert len(look.files) == DEEPEST_LEVEL + 1
    assert [why for _, why in look.skipped] == ["depth"]


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        (b"caf\xe9_x", "caf%E9_x"),
        (b"a\nb", "a%0Ab"),
        (b"100%", "100%25"),
        ("naïve_日本".encode(), "naïve_日本"),
        (b"\xff\xfe\x01", "%FF%FE%01"),
    ],
)
def test_any_name_can_be_collected(root: Path, discover, name: bytes, encoded: str):
    """Names that are not UTF-8 or hold line feeds are sources and files like any other."""
    folder = root / os.fsdecode(name)
    folder.mkdir()
    (folder / os.fsdecode(name)).write_bytes(b"x\n")
    discovery, volume = discover(), Volume(root)
    (source,) = all_sources(discovery)
    assert source.source == encoded
    look = discovery.look(source)
    assert [os.fsencode(raw) for raw in names(look)] == [name]
    descriptor = volume.open_file((*source.parts, *names(look)))
    assert stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    volume.close()


def test_the_tombstone(root: Path, discover):
    """A regular file of that name at the top says that the source is finished, and is not collected."""
    (root / POD / "below").mkdir(parents=True)
    (root / POD / "below" / "tombstone").touch()
    discovery = discover()
    look = look_at(discovery, POD)
    assert (look.tombstone, names(look)) == (False, ["below/tombstone"])
    (root / POD / "tombstone").write_text("0\n")
    look = look_at(discovery, POD)
    assert (look.tombstone, names(look)) == (True, ["below/tombstone"])


def test_what_is_no_tombstone(root: Path, discover):
    """A directory of that name is a directory, a link is a link; and a flat source has none."""
    pod = root / POD
    (pod / "tombstone").mkdir(parents=True)
    (pod / "tombstone" / "app.log").touch()
    discovery = discover()
    look = look_at(discovery, POD)
    assert (look.tombstone, names(look)) == (False, ["tombstone/app.log"])
    (pod / "tombstone" / "app.log").rename(pod / "app.log")
    (pod / "tombstone").rmdir()
    (pod / "tombstone").symlink_to("app.log")
    look = look_at(discovery, POD)
    assert (look.tombstone, names(look), look.skipped) == (False, ["app.log"], (("tombstone", "symlink"),))
    (root / "tombstone").touch()
    look = look_at(discovery)
    assert (look.tombstone, names(look)) == (False, ["tombstone"])


def test_archives_and_excluded_files_are_left_out(root: Path, discover):
    """Packed rotations, what NFS keeps of deleted files, and what `exclude` names."""
    pod = root / POD
    pod.mkdir()
    for name in ("app.log", "app.log.1.gz", "app.log.2.zst", ".nfs000001", "debug.log"):
        (pod / name).touch()
    assert names(look_at(discover(exclude=["debug*"]), POD)) == ["app.log"]


# --- what cannot be read


def test_an_unreadable_directory_below_a_source(root: Path, discover, unprivileged):
    """It is named with the reason, and the rest of the source is seen all the same."""
    pod = root / POD
    for name in ("locked", "listed", "open"):
        (pod / name).mkdir(parents=True)
        (pod / name / "app.log").touch()
    (pod / "locked").chmod(0)
    (pod / "listed").chmod(0o444)
    with unprivileged():
        look = look_at(discover(), POD)
    assert names(look) == ["open/app.log"]
    assert sorted(look.unreadable) == [("listed", "Permission denied"), ("locked", "Permission denied")]


def test_an_unreadable_directory_on_the_way(root: Path, discover, unprivileged):
    """A level that cannot be listed hides no other: it becomes a source that says so when it is looked at,
    and holds nothing of what is below once it can be read.
    """
    for name in ("locked/load-4xk2p", "shop/load-4xk2p"):
        (root / name).mkdir(parents=True)
    (root / "locked").chmod(0)
    discovery = discover("{namespace}/{pod}")
    with unprivileged():
        assert found(discovery) == {"locked": True, "shop/load-4xk2p": False}
        with pytest.raises(PermissionError):
            discovery.look(discovery.directory(("locked",)))
    (root / "locked").chmod(0o755)
    assert names(look_at(discovery, "locked")) == []


def test_an_unreadable_source(root: Path, discover, unprivileged):
    """That is an error of the look, not an empty source."""
    (root / POD).mkdir()
    (root / POD).chmod(0)
    with unprivileged(), pytest.raises(PermissionError):
        look_at(discover(), POD)

"""Why a file is, or is not, collected, and where it stands: `joblog explain`.

It looks at one path as discovery would (the same layout, globs and rules), and at the state folder;
it asks no running collector and no destination.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from collector.config_sections import Config, VolumeConfig
from collector.errors import StateError
from collector.intake.discover import DEEPEST_LEVEL
from collector.intake.globs import Selection
from collector.intake.layout import Layout
from collector.intake.names import encode_name
from collector.model import FileCheckpoint, FinishedBy, Origin
from collector.state.checkpoint import Checkpoint
from collector.state.folder import StateFolder
from collector.terminal import printable
from collector.value import value


@value
class Standing:
    """How far a file is committed. `path` and `generation` are its identity in the export."""

    path: str
    generation: int
    committed_bytes: int
    lag_bytes: int


@value
class Explanation:
    """`path` is as it was given, printable. What is not known stays None: a path outside of every volume
    has no source; `standing` is None before the first commit. `state` tells in words what the state
    folder knows. `revision` is that of the source's last receipt, 0 before the first.
    """

    path: str
    collected: bool
    why: str
    volume: str | None = None
    volume_path: str | None = None
    shard: int | None = None
    layout: str | None = None
    origin: Origin | None = None
    file: str | None = None
    size_bytes: int | None = None
    state: str | None = None
    standing: Standing | None = None
    revision: int = 0
    finished_by: FinishedBy | None = None
    retired: bool = False


@value
class _Place:
    """Where a path lies. `parts` are raw names below the volume; the first `depth` are the source's.
    `status` is None where there is nothing.
    """

    path: Path
    status: os.stat_result | None
    volume: VolumeConfig
    layout: Layout
    parts: tuple[str, ...]
    depth: int
    flat: bool

    @property
    def origin(self) -> Origin:
        """That of the source."""
        return self.layout.origin(self.parts[: self.depth])

    @property
    def below(self) -> str:
        """The raw path below the source."""
        return "/".join(self.parts[self.depth :])


def explain(path: Path, config: Config) -> Explanation:
    """Looks at `path` now. Raises LayoutError and ConfigError for settings that cannot be understood."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the links that we must see
    found = _volume_of(absolute, config.volumes)
    if found is None:
        volumes = ", ".join(_shown(volume.path) for volume in config.volumes)
        return Explanation(_shown(path), collected=False, why=f"it is below no volume ({volumes})")
    place = _place(absolute, *found)
    shard = zlib.crc32(place.origin.source.encode()) % config.shards
    checkpoint, state = _checkpoint(StateFolder(config.state, place.volume.name, shard))
    at = _committed(checkpoint, place)
    why_not = next(_objections(place), None)
    if why_not is None and place.status is None and at is None:
        why_not = "there is no such file, and nothing of it is committed"
    told = Explanation(
        path=_shown(path),
        collected=why_not is None,
        why=why_not or _why(place),
        volume=place.volume.name,
        volume_path=_shown(place.volume.path),
        shard=shard,
        layout=place.layout.text,
        state=state,
    )
    return _with_receipt(_with_file(told, place, at), checkpoint)


def _with_file(told: Explanation, place: _Place, at: FileCheckpoint | None) -> Explanation:
    below = place.parts[place.depth :]
    is_file = place.status is not None and stat.S_ISREG(place.status.st_mode)
    size = place.status.st_size if place.status and is_file else None
    return replace(
        told,
        origin=place.layout.file_origin(place.origin, below) if below else place.origin,
        file=encode_name(place.below) or None,
        size_bytes=size,
        standing=_standing(at, size),
    )


def _with_receipt(told: Explanation, checkpoint: Checkpoint | None) -> Explanation:
    known = checkpoint.sources.get(told.origin.source) if checkpoint and told.origin else None
    if known is None:
        return told
    return replace(told, revision=known.revision, finished_by=known.finished_by, retired=known.retired)


def lines(it: Explanation) -> list[str]:
    """The explanation for people: what it is first, then one fact a line."""
    verdict = "is collected" if it.collected else "is not collected"
    told = [f"{it.path} {verdict}: {it.why}"]
    if it.volume is None or it.origin is None:
        return told
    told.append(f"  volume     {it.volume} ({it.volume_path}), shard {it.shard}")
    told.append(f"  source     {it.origin.source} ({_matching(it)})")
    told += [f"  {name:<10} {value}" for name, value in _metadata(it.origin)]
    told += [f"  file       {it.file}"] if it.file else []
    told += [f"  size       {it.size_bytes} bytes"] if it.size_bytes is not None else []
    if it.collected or it.standing:
        told.append(f"  committed  {_progress(it)}")
        told.append(f"  receipt    {_receipt(it)}")
    return told


def _volume_of(path: Path, volumes: Sequence[VolumeConfig]) -> tuple[VolumeConfig, tuple[str, ...]] | None:
    """The innermost volume that the path is below. A volume may be named by a path that has links in it."""
    real = Path(os.path.realpath(path.parent), path.name)
    for candidate in (path, real):
        holders = [
            (root, volume)
            for volume in volumes
            for root in {Path(os.path.abspath(volume.path)), volume.path.resolve()}  # noqa: PTH100 - as above
            if candidate.is_relative_to(root)
        ]
        if holders:
            root, volume = max(holders, key=lambda holder: len(holder[0].parts))
            return volume, candidate.relative_to(root).parts
    return None


def _place(path: Path, volume: VolumeConfig, parts: tuple[str, ...]) -> _Place:
    """Finds the source as discovery does: down the levels that match, or to the first that does not."""
    layout = Layout.parse(volume.layout)
    status = _status(path)
    directories = parts if status and stat.S_ISDIR(status.st_mode) else parts[:-1]
    for depth, name in enumerate(directories, start=1):
        if depth == layout.source_depth or not layout.level_matches(depth - 1, name):
            return _Place(path, status, volume, layout, parts, depth, flat=False)
    return _Place(path, status, volume, layout, parts, len(directories), flat=True)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:  # gone, or a directory above it is: both mean that discovery does not see it
        return None


def _objections(place: _Place) -> Iterator[str]:
    """What discovery passes the path over for."""
    link = _link_above(place)
    if link is not None:
        yield f"{_shown(link)} is a symbolic link; links are never followed"
    if place.status is not None and not stat.S_ISREG(place.status.st_mode):
        yield _kind(place.status.st_mode)
    if not place.flat and place.below == place.volume.tombstone:
        yield "it is the tombstone: it says that its source is finished, and goes into the receipt"
    if len(place.parts) - place.depth > DEEPEST_LEVEL + 1:
        yield f"it lies more than {DEEPEST_LEVEL} directories below its source"
    if not Selection(place.volume.include, place.volume.exclude).matches(place.below):
        yield "include, exclude, or the rule for archives (*.gz, *.zst, …, .nfs*) leaves it out"
    if place.status is not None and not os.access(place.path, os.R_OK):
        yield "this user may not read it"


def _link_above(place: _Place) -> Path | None:
    """The first directory between volume and file that is a symbolic link."""
    levels = [place.path, *place.path.parents][: len(place.parts)]
    return next((path for path in reversed(levels[1:]) if path.is_symlink()), None)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "it is a directory; files in it are: ask for one of them"
    if stat.S_ISLNK(mode):
        return "it is a symbolic link; links are never followed"
    return "it is no regular file"


def _why(place: _Place) -> str:
    if place.status is None:
        return "it was, before it went from the volume"
    return "it lies directly in the volume" if place.depth == 0 else "it is a file of its source"


def _checkpoint(folder: StateFolder) -> tuple[Checkpoint | None, str]:
    """The shard's checkpoint, and in words what there is."""
    try:
        checkpoint = folder.load()
    except StateError as error:  # what the volume says is worth telling all the same
        return None, str(error)
    return checkpoint, "known" if checkpoint else f"there is no checkpoint in {_shown(folder.path)}"


def _committed(checkpoint: Checkpoint | None, place: _Place) -> FileCheckpoint | None:
    """The newest content of the file in the checkpoint: by inode where it was renamed, else by name."""
    if checkpoint is None:
        return None
    name = encode_name(place.below)
    files = checkpoint.files_of(place.origin.source)
    named = [at for at in files if at.name == name]
    inode = place.status.st_ino if place.status else None
    same = [at for at in files if at.evidence.inode == inode]
    found = [at for at in named if at in same] or named or same
    return max(found, key=lambda at: at.file.generation, default=None)


def _standing(at: FileCheckpoint | None, size: int | None) -> Standing | None:
    if at is None:
        return None
    lag = max(size - at.offset, 0) if size is not None else 0
    return Standing(at.file.path, at.file.generation, at.offset, lag)


def _matching(it: Explanation) -> str:
    matched = it.origin is not None and it.origin.matched
    return f"{'as' if matched else 'not as'} the layout says: {printable(it.layout or '')}"


def _metadata(origin: Origin) -> list[tuple[str, str]]:
    names = ("namespace", "job", "pod", "container", "pod_ip", "node_ip", "node", "cronjob")
    known = [(name, getattr(origin, name)) for name in names]
    return [(name, value) for name, value in (*known, *origin.fields) if value]


def _progress(it: Explanation) -> str:
    if it.standing is None:
        return f"nothing yet ({it.state})" if it.state != "known" else "nothing yet"
    at = it.standing
    told = f"{at.committed_bytes} bytes, as {at.path} generation {at.generation}"
    if it.size_bytes is None:
        return told
    if it.size_bytes < at.committed_bytes:
        return f"{told}; the file is shorter: what it holds now will be a further generation"
    return f"{told}; {at.lag_bytes} bytes behind" if at.lag_bytes else f"{told}; all of it"


def _receipt(it: Explanation) -> str:
    if not it.revision:
        return "none yet"
    if it.retired:
        return f"revision {it.revision}; the source is gone from the volume"
    if it.finished_by is None:
        return f"revision {it.revision}; more came after it, a further one will follow"
    return f"revision {it.revision}, finished by {it.finished_by}"


def _shown(path: Path) -> str:
    return printable(str(path))

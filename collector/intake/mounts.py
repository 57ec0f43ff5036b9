"""On which file system a volume is, and what can be expected of it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

NETWORK_TYPES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "lustre", "glusterfs", "gluster", "beegfs", "afs"),
        *("gpfs", "ocfs2", "gfs2", "orangefs", "pvfs2", "panfs", "virtiofs"),
    }
)
"""Several machines write to them, and none is told by the kernel what another one did."""

TIMED_TYPES = frozenset(
    {
        *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "ramfs", "overlay"),
        *("nfs", "nfs4", "ceph", "lustre", "gpfs", "virtiofs"),
        *("fuse.ceph-fuse", "fuse.ceph", "fuse.glusterfs", "fuse.bindfs"),
    }
)
"""A directory's mtime moves there whenever an entry of it comes or goes."""


def choose(path: Path, wanted: Literal["auto", "inotify", "poll"]) -> tuple[Literal["inotify", "poll"], str]:
    """How the volume is watched, and why, in words."""
    if wanted != "auto":
        return wanted, "configured"
    kind = shared_type(path)
    if kind is None:
        return "inotify", f"{file_system_type(path)} is local"
    return "poll", f"{kind} does not tell what other nodes write"


def shared_type(path: Path) -> str | None:
    """The type of the network file system, or one in user space, that holds `path` or, where it is an
    overlay, one of its layers; None where it is a local one.
    """
    kind, options = _mount_of(path)
    if is_shared(kind):
        return kind
    for layer in _layers(options) if kind == "overlay" else ():
        below, _ = _mount_of(layer)
        if is_shared(below):
            return f"overlay on {below}"
    return None


def is_shared(kind: str) -> bool:
    return kind.startswith("fuse") or kind in NETWORK_TYPES


def has_directory_times(path: Path) -> bool:
    return file_system_type(path) in TIMED_TYPES


def file_system_type(path: Path) -> str:
    """The type of the file system that holds `path`: the innermost mount around it, of those mounted there
    the last, by /proc/self/mountinfo (proc_pid_mountinfo(5)).
    """
    return _mount_of(path)[0]


def _mount_of(path: Path) -> tuple[str, str]:
    """Type and options of the mount."""
    best, kind, options = "", "an unknown file system", ""
    real = os.path.realpath(path)
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        mount = _plain(fields.split(" ")[4])
        is_around = real == mount or real.startswith(mount.rstrip("/") + "/")
        if is_around and len(mount) >= len(best):
            best, (kind, _, options) = mount, rest.split(" ", 2)
    return kind, _plain(options)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)


def _layers(options: str) -> list[Path]:
    """The directories that an overlay is made of, as its mount options name them."""
    named = dict(option.partition("=")[::2] for option in options.split(","))
    lower = re.split(r"(?<!\\):", named.get("lowerdir", ""))
    return [Path(layer) for layer in (named.get("upperdir", ""), *lower) if layer]

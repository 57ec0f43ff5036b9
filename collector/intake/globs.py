"""Which files of a source are collected: `include` and `exclude`, and no archives."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from collector.errors import ConfigError

if TYPE_CHECKING:
    from collector.intake.patterns import Patterns

DEFAULT_EXCLUDES = ("*.gz", "*.zst", "*.bz2", "*.xz", ".nfs*")
"""Rotated archives, whose lines were collected before they were packed, and what NFS keeps of files
that were deleted while open. Always left out, unless an `include` pattern names them."""

_PACKED = tuple(pattern[1:] for pattern in DEFAULT_EXCLUDES if pattern.startswith("*"))
_NFS = ".nfs"
_EVERYTHING = ({"**"}, {"*"})


class Selection:
    """Decides for paths below a source; built once for each volume.

    A path is selected if `include` matches it, `exclude` does not, and it is no archive or was
    meant explicitly: an archive needs an `include` pattern whose last part ends as the archive does
    (`*.gz`, `app.log.1.gz`; not `**`). Raises ConfigError for a pattern that cannot be understood.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include = None if set(include) in _EVERYTHING else _patterns("include", include)
        self._exclude = _patterns("exclude", exclude) if exclude else None
        archives = [pattern for pattern in include if _names_archive(pattern)]
        self._archives = _patterns("include", archives) if archives else None
        if self._include is not None and not self._include.take_in:
            raise ConfigError(
                "include: no pattern takes a file in", hint='write include: ["**"] to collect all files'
            )

    def matches(self, path: str) -> bool:
        """Whether to collect the file at `path`, raw and relative to its source."""
        if _is_archive(path) and not (self._archives and self._archives.match(path)):
            return False
        if self._include is not None and not self._include.match(path):
            return False
        return self._exclude is None or not self._exclude.match(path)


def _is_archive(path: str) -> bool:
    return path.endswith(_PACKED) or (_NFS in path and path.rpartition("/")[2].startswith(_NFS))


def _names_archive(pattern: str) -> bool:
    name = pattern.rstrip().rpartition("/")[2]
    return not pattern.startswith("!") and any(fnmatchcase(name, archive) for archive in DEFAULT_EXCLUDES)


def _patterns(key: str, patterns: Sequence[str]) -> Patterns:
    from collector.intake.patterns import Patterns  # noqa: PLC0415 - slow to import; by default there are none

    return Patterns(key, patterns)

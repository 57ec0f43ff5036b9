"""Which files of a source are collected: `include` and `exclude`, read as `.gitignore` reads its lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from collector.errors import ConfigError

DEFAULT_EXCLUDES = ("*.gz", "*.zst", "*.bz2", "*.xz", ".nfs*")
"""Rotated archives, whose lines were collected before they were packed, and what NFS keeps of files
that were deleted while open. Always left out, unless an `include` pattern names them."""

_TOKEN = re.compile(
    r"""(?P<star>(?:\[\^/\]\*)+)                    # what pathspec writes for `*` (and `**` within a name)
    |(?P<deep>\(\?:\.\+/\)\?|\(\?:/\.\+\)\?)       # ... for `**/`
    |(?P<one>\[\^?\]?[^\]]*\]|\\.|[^\W_]|[-_\0])   # ... for one character
    |(?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)
_STAR = "[^/]*"
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
        self._include = None if set(include) in _EVERYTHING else _spec("include", include)
        self._exclude = _spec("exclude", exclude) if exclude else None
        archives = [pattern for pattern in include if _names_archive(pattern)]
        self._archives = _spec("include", archives) if archives else None
        if self._include is not None and not any(line.include for line in self._include.patterns):
            raise ConfigError(
                "include: no pattern takes a file in", hint='write include: ["**"] to collect all files'
            )

    def matches(self, path: str) -> bool:
        """Whether to collect the file at `path`, raw and relative to its source."""
        if _is_archive(path) and not (self._archives and _matches(self._archives, path)):
            return False
        if self._include is not None and not _matches(self._include, path):
            return False
        return self._exclude is None or not _matches(self._exclude, path)


def _is_archive(path: str) -> bool:
    return path.endswith(_PACKED) or path.rpartition("/")[2].startswith(_NFS)


def _names_archive(pattern: str) -> bool:
    name = pattern.rstrip().rpartition("/")[2]
    return not pattern.startswith("!") and any(fnmatchcase(name, archive) for archive in DEFAULT_EXCLUDES)


def _spec(key: str, patterns: Sequence[str]) -> GitIgnoreSpec:
    return GitIgnoreSpec([_compile(key, pattern) for pattern in patterns], backend="simple")


def _compile(key: str, pattern: str) -> GitIgnoreSpecPattern:
    try:
        compiled = GitIgnoreSpecPattern(_one_line(pattern))
    except (ValueError, re.error):
        compiled = None
    if compiled is None or compiled.regex is None:  # git ignores such a line; a setting is meant
        raise ConfigError(
            f"{key}: {pattern!r} is no pattern", hint='write it as in .gitignore, for example "*.log"'
        )
    return GitIgnoreSpecPattern(re.compile(_without_backtracking(compiled.regex.pattern)), compiled.include)


def _without_backtracking(regex: str) -> str:
    """`regex` as pathspec wrote it, made such that many `*` cost no more than one.

    What stands between two of them is taken where it first occurs, and for good: whatever a later place
    would have skipped, the second `*` skips too.
    """
    tokens = [(match.lastgroup or "", _of_one_name(match)) for match in _TOKEN.finditer(regex)]
    tokens = _settled(tokens, "so+(?=s)", {_STAR: "[^/]*?"}, "")
    tokens = _settled(tokens, "d[^d]+(?=d)", {"(?:.+/)?": "(?:.+?/)??", "(?:/.+)?": "(?:/.+?)??"}, "(?=/)")
    return "".join(text for _, text in tokens)


def _settled(
    tokens: list[tuple[str, str]], between: str, shortest: dict[str, str], end: str
) -> list[tuple[str, str]]:
    """Each run of tokens whose kinds look like `between`, as one atomic group."""
    done = tokens.copy()
    for match in reversed(list(re.finditer(between, "".join(kind[0] for kind, _ in tokens)))):
        (_, wildcard), *rest = tokens[match.start() : match.end()]
        group = "".join(text for _, text in rest)
        done[match.start() : match.end()] = [("one", f"(?>{shortest[wildcard]}{group}{end})")]
    return done


def _of_one_name(token: re.Match[str]) -> str:
    """`**` within a name says no more than `*`; and `[!a]` matches no slash, as in git."""
    if token.lastgroup == "star":
        return _STAR
    plain = token.lastgroup != "one" or token[0][0] != "[" or token[0] == "[^/]"
    return token[0] if plain else f"(?!/){token[0]}"


def _matches(spec: GitIgnoreSpec, path: str) -> bool:
    return spec.match_file(_one_line(path))


def _one_line(text: str) -> str:
    """A line feed is a character like any other in a file name, but not to `.` and `$`."""
    return text.replace("\n", "\0")

"""Patterns of `include` and `exclude`, read as `.gitignore` reads its lines."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from collector.errors import ConfigError

_TOKEN = re.compile(
    r"""(?P<star>(?:\[\^/\]\*)+)                    # what pathspec writes for `*` (and `**` within a name)
    |(?P<deep>\(\?:\.\+/\)\?|\(\?:/\.\+\)\?)       # ... for `**/`
    |(?P<one>\[\^?\]?[^\]]*\]|\\.|[^\W_]|[-_\0])   # ... for one character
    |(?P<rest>.)""",
    re.VERBOSE | re.DOTALL,
)
_STAR = "[^/]*"


class Patterns:
    """Raises ConfigError for one that cannot be understood; `key` is the setting that has them."""

    def __init__(self, key: str, patterns: Sequence[str]) -> None:
        self._spec = GitIgnoreSpec([_compile(key, pattern) for pattern in patterns], backend="simple")

    @property
    def take_in(self) -> bool:
        """Whether any of them takes a file in; those with `!` take out."""
        return any(line.include for line in self._spec.patterns)

    def match(self, path: str) -> bool:
        return self._spec.match_file(_one_line(path))


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


def _one_line(text: str) -> str:
    """A line feed is a character like any other in a file name, but not to `.` and `$`."""
    return text.replace("\n", "\0")

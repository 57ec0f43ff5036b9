"""Selection: include and exclude, as `.gitignore` reads its lines."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ConfigError
from collector.intake.globs import DEFAULT_EXCLUDES, Selection

ARCHIVES = ["app.log.1.gz", "a/b.zst", "x.bz2", "x.xz", ".nfs0000001", "deep/er/.nfs0a"]


@given(
    st.text(st.characters(blacklist_characters="\0"), min_size=1, max_size=40).map(lambda name: name + "x")
)
def test_by_default_every_file_is_collected(name):
    """Without settings, each file is selected whatever its name; line feeds and stray bytes too."""
    if not name.rpartition("/")[2].startswith(".nfs"):
        assert Selection(["**"], []).matches(name)


@pytest.mark.parametrize("include", [["**"], ["*"], ["**", "*.log"], ["**/*"], ["*g*", "a/", ".*", "x*"]])
@pytest.mark.parametrize("path", ARCHIVES)
def test_archives_are_left_out(path, include):
    """Rotated archives and `.nfs*` are left out whatever general pattern matches them."""
    assert not Selection(include, []).matches(path)


@pytest.mark.parametrize(
    ("include", "path"),
    [
        (["**", "*.gz"], "app.log.1.gz"),
        (["app.log.1.gz"], "app.log.1.gz"),
        (["**", "archive/*.zst"], "archive/b.zst"),
        ([".nfs*"], ".nfs0000001"),
        (["**", ".nfs*"], "deep/er/.nfs0a"),
    ],
)
def test_an_archive_that_is_named_is_collected(include, path):
    """An include pattern of an archive's own kind takes it in."""
    assert Selection(include, []).matches(path)


def test_naming_some_archives_does_not_let_in_others():
    """Only what the naming pattern matches is let in, and `exclude` still wins."""
    selection = Selection(["**", "archive/*.gz"], ["secret.gz"])
    assert selection.matches("archive/a.gz")
    assert not selection.matches("a.gz")
    assert not selection.matches("archive/a.zst")
    assert not selection.matches("archive/secret.gz")
    assert selection.matches("plain.log")


def test_logs_in_a_directory_that_is_called_like_an_archive():
    """The default exclusion is of files: what lies in a directory `x.gz` is collected."""
    assert Selection(["**"], []).matches("x.gz/app.log")


@pytest.mark.parametrize(
    ("include", "exclude", "path", "selected"),
    [
        (["*.log"], [], "a/b/app.log", True),
        (["*.log"], [], "a/b/app.txt", False),
        (["/*.log"], [], "a/app.log", False),
        (["/*.log"], [], "app.log", True),
        (["logs/"], [], "a/logs/app.txt", True),
        (["logs/"], [], "logs", False),
        (["a/**/z.log"], [], "a/z.log", True),
        (["a/**/z.log"], [], "a/b/c/z.log", True),
        (["**"], ["*.tmp"], "a/b.tmp", False),
        (["**"], ["*.tmp", "!keep.tmp"], "a/keep.tmp", True),
        (["*.log", "!debug.log"], [], "debug.log", False),
        (["app[0-9].log"], [], "app7.log", True),
        (["app?.log"], [], "app/.log", False),
        (["\\!odd"], [], "!odd", True),
        (["*.log"], [], "a\nb/app.log", True),
        (["*.log"], [], "app.log\n", False),
        (["*.log"], [], "\udcff.log", True),
    ],
)
def test_patterns_by_example(include, exclude, path, selected):
    """Anchors, directories, `**`, classes and `!` mean what they mean in `.gitignore`."""
    assert Selection(include, exclude).matches(path) is selected


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git itself")
def test_as_git_reads_them(tmp_path):
    """`exclude` leaves out exactly the files that git ignores by the same patterns."""
    patterns = ["*.tmp", "/top", "build/", "a/**/z", "!keep.tmp", "mid/dle", "**/deep/*.txt", "[ab]?.dat"]
    paths = [
        "x.tmp",
        "d/x.tmp",
        "keep.tmp",
        "d/keep.tmp",
        "top",
        "d/top",
        "build/x",
        "d/build/y",
        "a/z",
        "a/b/z",
    ]
    paths += ["b/z", "mid/dle", "x/mid/dle", "p/deep/q.txt", "p/deep/r/q.txt", "a1.dat", "c1.dat", "ab.data"]
    (tmp_path / ".gitignore").write_text("\n".join(patterns))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    asked = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=tmp_path,
        input="\n".join(paths),
        text=True,
        capture_output=True,
        check=True,
    )
    selection = Selection(["**"], patterns)
    assert [path for path in paths if not selection.matches(path)] == asked.stdout.split()


@pytest.mark.parametrize("pattern", ["", "  ", "# comment", "/", "[a", "[z-a]", "a\\", "!"])
@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_bad_pattern_is_refused(pattern, key):
    """What git would silently ignore, or cannot be compiled, is an error that names key and pattern."""
    settings = {"include": ["**"], "exclude": []} | {key: ["ok", pattern]}
    with pytest.raises(ConfigError) as refused:
        Selection(**settings)
    assert refused.value.message == f"{key}: {pattern!r} is no pattern"
    assert refused.value.hint


@pytest.mark.parametrize("include", [[], ["!*.tmp"]])
def test_an_include_that_takes_nothing_in_is_refused(include):
    """A volume of which nothing can be collected is a mistake in the settings."""
    with pytest.raises(ConfigError, match="include: no pattern takes a file in"):
        Selection(include, [])


def test_the_page_names_every_default():
    """`docs/layouts.md` names each pattern that is left out by default."""
    page = (Path(__file__).parents[2] / "docs/layouts.md").read_text()
    assert [pattern for pattern in DEFAULT_EXCLUDES if f"`{pattern}`" not in page] == []


@cache
def _reference(pattern: str, name: str) -> bool:
    """Whether one name matches, decided the slow and certain way: every `*` tries every length."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(_reference(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in (name[0], "?") and _reference(pattern[1:], name[1:])


@given(st.text("ab*?", min_size=1, max_size=12), st.text("ab", min_size=1, max_size=14))
def test_a_pattern_with_many_stars_matches_what_it_says(pattern, name):
    """Any mix of `*`, `?` and characters matches exactly the names that some reading of its stars allows."""
    anchored = f"/{pattern}"
    if pattern.strip("*") or len(pattern) == 1:  # a name of two stars means directories
        assert Selection(["x", anchored], []).matches(name) == _reference(pattern, name)


@given(
    st.lists(st.sampled_from(["**", "a", "b", "*a", "[!a]*"]), min_size=1, max_size=7),
    st.lists(st.sampled_from(["a", "b", "ba", "c"]), min_size=1, max_size=9),
)
def test_a_pattern_with_many_directories_matches_what_it_says(pattern, path):
    """`**` between names stands for any number of directories, also several times."""

    def allowed(parts, names):
        if not parts:
            return True  # a pattern that names a directory takes all below it
        if parts[0] == "**":
            return (
                any(allowed(parts[1:], names[at:]) for at in range(len(names))) if parts[1:] else bool(names)
            )
        fits = names and (names[0][0] != "a" if parts[0] == "[!a]*" else _reference(parts[0], names[0]))
        return bool(fits) and allowed(parts[1:], names[1:])

    assert Selection(["x", "/" + "/".join(pattern)], []).matches("/".join(path)) == allowed(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", "a" * 255),
        ("**/a*/" * 12 + "b", "a/" * 2000 + "a"),
        ("*[!b]" * 30 + "?b", "a" * 250),
        ("a**" * 50 + "b", "a" * 255),
    ],
)
def test_no_pattern_holds_the_collector_up(pattern, path):
    """Many wildcards in one pattern, and a name made for them: decided at once (it would take years else)."""
    assert not Selection([pattern, "x"], []).matches(path)

"""The YAML reader: places, variables, and files that mean harm."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.config_place import Fault, Placed, written
from collector.config_yaml import read
from collector.errors import ConfigError


def placed(tmp_path: Path, text: str | bytes, environ=None) -> Placed:
    file = tmp_path / "f.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, environ or {})


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        placed(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_values_are_text_with_places(tmp_path):
    """Scalars stay as written, null is None, and each value has line and column, from 1."""
    found = placed(tmp_path, "a: 1\nb:\n  - {c: yes}\n  - null\nd: 'null'\n")
    assert found.values == {"a": "1", "b": [{"c": "yes"}, None], "d": "null"}
    assert found.where(("b", 0, "c")).endswith("f.yaml:3:6")
    assert found.where(("b", 1)).endswith("f.yaml:4:5")
    assert found.where(("b", 7)).endswith("f.yaml:2:1")
    assert found.where(("z",)).endswith("f.yaml")


def test_variables_are_filled_in(tmp_path):
    """`${VAR}` comes from the environment, in the middle too; `$(VAR)`, `$VAR` and `$${` stay."""
    environ = {"A": "x y", "B": "${A}", "EMPTY": ""}
    found = placed(tmp_path, "v: ['p-${A}-${A}', '$(A)_$A', '$${A}', '${B}', 'a${EMPTY}b']", environ)
    assert found.values == {"v": ["p-x y-x y", "$(A)_$A", "${A}", "${A}", "ab"]}
    assert not found.faults


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("x${NOPE}", "the environment has no variable NOPE: set it"),
        ("${A:-b}", "'A:-b' between `${` and `}` is no name of a variable"),
        ("${}", "'' between `${` and `}` is no name of a variable"),
        ("a${B", "`${` without `}`: write `$${` for the characters themselves"),
    ],
)
def test_bad_variables_are_faults_with_a_place(tmp_path, value, what):
    """What cannot be filled in is told where it stands."""
    (fault,) = placed(tmp_path, f"a:\n  b: '{value}'\n").faults
    assert (fault.where.rpartition("/")[2], fault.key, fault.what) == ("f.yaml:2:6", ("a", "b"), what)


def test_a_key_twice_is_a_fault(tmp_path):
    """YAML would silently keep the last one."""
    (fault,) = placed(tmp_path, "a: 1\nb: {c: 1,\n  c: 2}\n").faults
    assert str(fault).endswith("f.yaml:3:3: b.c: this key is there twice: leave one")


def test_tags_construct_nothing(tmp_path):
    """A tag that would make a Python object is a fault, and nothing is made."""
    found = placed(tmp_path, "a: !!python/object/apply:os.mkdir ['made']\nb: !x y\n")
    assert [fault.key for fault in found.faults] == [("a",), ("b",)]
    assert found.values == {"a": None, "b": None}


def test_aliases_work_within_bounds(tmp_path):
    """An alias is its anchor's value again."""
    assert placed(tmp_path, "a: &x [1]\nb: *x\n").values == {"a": ["1"], "b": ["1"]}


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: &a [*a]\n",
        "[" * 100,
        "a: " + "[" * 20_000,
        "a: " + "{x: " * 500 + "}" * 500,
        "a: [" + "1, " * 20_000 + "]",
        "a: '" + "x" * (1 << 20) + "'",
    ],
    ids=["alias bomb", "recursive alias", "unclosed", "very deep", "deep", "many", "large"],
)
def test_files_that_would_grow_are_refused(tmp_path, text):
    """Aliases, depth, number and size are bounded: one line, no endless work."""
    assert refusal(tmp_path, text).startswith("f.yaml")


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("a: 1\n b: 2\n", "f.yaml:2:3: not valid YAML: mapping values are not allowed here"),
        ("a: 'x\n", "f.yaml:2:1: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "f.yaml:2:1: not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: not valid YAML: "),
        ("a: *x\n", "f.yaml:1:4: not valid YAML: "),
        ("a: 1\nb: \x07\n", "f.yaml:2: not valid YAML: special characters are not allowed"),
        (b"a: \xff\n", "f.yaml: not UTF-8 at byte 3"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(tmp_path, text, starts):
    """The parser's own words, with file, line and column."""
    assert refusal(tmp_path, text).startswith(starts)


@pytest.mark.parametrize("text", ["- a\n", "just text\n"])
def test_the_top_is_a_mapping(tmp_path, text):
    """A list or a text is no configuration; an empty file is an empty one."""
    (fault,) = placed(tmp_path, text).faults
    assert fault.what == "should be settings, each as `key: value`"
    assert placed(tmp_path, "# nothing\n").values == {}


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    """What and where and what to do."""
    with pytest.raises(ConfigError, match=r"nope\.yaml: cannot be read: No such file or directory: name the"):
        read(tmp_path / "nope.yaml", {})
    with pytest.raises(ConfigError, match="Is a directory"):
        read(tmp_path, {})


def test_key_paths_are_written_as_people_do():
    """Indexes in brackets, names with dots."""
    assert written(("volumes", 0, "poll_interval")) == "volumes[0].poll_interval"
    assert str(Fault("", (), "x")) == "x"


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_no_file_makes_another_error(tmp_path_factory, body):
    """Whatever the bytes, the reader gives values and faults, or a ConfigError of one line."""
    try:
        found = placed(tmp_path_factory.getbasetemp(), body)
    except ConfigError as error:
        assert str(error).isprintable()
    else:
        assert all(str(fault).isprintable() for fault in found.faults)

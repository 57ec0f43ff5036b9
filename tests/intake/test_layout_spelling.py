"""How a layout may be written, and what is said of one that cannot be understood."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import LayoutError
from collector.intake.layout import Layout, describe
from collector.intake.spelling import ALIASES, BUILT_IN, EXPORT_COLUMNS, field_name

PAGE = (Path(__file__).parents[2] / "docs/layouts.md").read_text()


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("POD_NAMESPACE", "namespace"),
        ("NAMESPACE", "namespace"),
        ("_namespace_", "namespace"),
        ("podNamespace", "namespace"),
        ("MY_POD_NAME", "pod"),
        ("_pod_name_", "pod"),
        ("K8S_POD_IP", "pod_ip"),
        ("podIP", "pod_ip"),
        ("KUBERNETES_NODE_NAME", "node"),
        ("HOST_NAME", "node"),
        ("HOST_IP", "node_ip"),
        ("hostIP", "node_ip"),
        ("NODE_IP", "node_ip"),
        ("CONTAINER_NAME", "container"),
        ("POD_UID", "uid"),
        ("JOB_NAME", "job"),
        ("JOB_COMPLETION_INDEX", "index"),
        ("restart", "restart"),
        ("MY_TEAM", "my_team"),
        ("buildTeam", "build_team"),
        ("cost-center.id", "cost_center_id"),
    ],
)
def test_names_of_fields(written, name):
    """Names as environment variables have them mean fields; other names are columns in snake case."""
    assert field_name(written) == name
    other = "{node}" if name == "pod" else "{pod}"
    parsed = Layout.parse(f"{{{written}}}_{other}")
    assert name in parsed.field_names or name in (
        "namespace",
        "pod",
        "pod_ip",
        "node_ip",
        "node",
        "container",
        "job",
    )


@pytest.mark.parametrize(
    ("layout", "place", "advice"),
    [
        ("", "no field", "write {namespace}_{pod}"),
        ("subpaht", "no field", "did you mean subpath?"),
        ("logs", "no field", "subpath, kubelet"),
        ("$$(POD_NAME)", "no field", "write {namespace}_{pod}"),
        ("/{namespace}/{pod}", "level 1: it is empty", "relative to the volume"),
        ("{namespace}//{pod}", "level 2: it is empty", 'single "/"'),
        ("{namespace}/{pod}/", "level 3: it is empty", 'single "/"'),
        ("../{pod}", 'level 1: ".." cannot be a level', "relative to the volume"),
        ("{namespace}/./{pod}", 'level 2: "." cannot be a level', "relative to the volume"),
        ("{namespace}_$(POD_NAME)", "it mixes {name} and $(NAME)", "one of the two ways"),
        ("${POD_NAME}", "${NAME} is not a field", "write $(NAME) or {name}"),
        ("{namespace}{pod}", 'level 1: nothing stands before "{pod}"', 'best "_"'),
        ("$(POD_NAMESPACE)$(POD_NAME)", 'level 1: nothing stands before "$(POD_NAME)"', 'best "_"'),
        ("{namespace}/{pod", 'level 2: "{pod" has no partner', "write {name} or $(NAME)"),
        ("{namespace}/pod}", 'level 2: "}" has no partner', "write {name} or $(NAME)"),
        ("{{namespace}}_{pod}", 'level 1: "{{namespace}}_{pod}" has no partner', "write {name}"),
        ("$(POD_NAME)/$(NODE_NAME", 'level 2: "$(NODE_NAME" has no partner', "write {name} or $(NAME)"),
        ("{pod:d}", 'level 1: "{pod:d}" is not a field', "nothing after it"),
        ("{pod!r}", 'level 1: "{pod!r}" is not a field', "nothing after it"),
        ("{}_{pod}", 'level 1: "{}" is not a field', "letters, digits and _"),
        ("{0}_{pod}", 'level 1: "{0}" is not a field', "letters, digits and _"),
        ("{_0}_{pod}", 'level 1: "{_0}" is not a field', "letters, digits and _"),
        ("$(POD NAME)", 'level 1: "$(POD NAME)" is not a field', "letters, digits and _"),
        ("{größe}_{pod}", 'level 1: "{größe}" is not a field', "letters, digits and _"),
        ("{pod}/{pod}", 'level 2: "{pod}" is the field pod again, after "{pod}"', "once"),
        (
            "$(HOST_IP)_$(NODE_IP)",
            'level 1: "$(NODE_IP)" is the field node_ip again, after "$(HOST_IP)"',
            "once",
        ),
        ("$(HOSTNAME)", 'level 1: "$(HOSTNAME)" may be the Pod or the node', "POD_NAME or NODE_NAME"),
        ("{namespace}/{pod}.log", "level 2: it is a file's name", '"{pod}/app.log"'),
        ("{namespace}.log", "level 1: it is a file's name", '"{pod}/app.log"'),
        ("{pod}/{namespace}", "level 2: namespace stands below the source", "at or above"),
        ("{pod}/{job}", "level 2: job stands below the source", "at or above"),
        ("{pod}/{index}", "level 2: index stands below the source", "at or above"),
        ("{namespace}-{pod}-{node}-{job}", "level 1: too many fields", 'put "_"'),
        ("{pod}\n", "'{pod}\\n': it holds a character that cannot be printed", "remove it"),
        ("{pod}\ud800", "\\ud800': it holds a character that cannot be printed", "remove it"),
    ],
)
def test_a_layout_that_cannot_be_understood(layout, place, advice):
    """Each mistake gives one line with the layout, the place in it, and what to do."""
    with pytest.raises(LayoutError) as refused:
        Layout.parse(layout)
    assert place in refused.value.message
    assert advice in refused.value.hint
    assert str(refused.value).startswith("layout ")
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("column", sorted(EXPORT_COLUMNS))
def test_columns_of_the_export_are_taken(column):
    """No field may be called like a column or partition of the export, and the page names them all."""
    with pytest.raises(LayoutError, match="column of the export"):
        Layout.parse(f"{{pod}}_$({column.upper()})".replace("$(", "{").replace(")", "}"))
    assert re.search(rf"`[^`]*\b{column}\b[^`]*`", PAGE)


@given(st.text("{}$()/._-abP:\n", max_size=30))
def test_any_text_is_a_layout_or_a_clear_error(text):
    """Whatever is written, it is understood or refused as a LayoutError; what is understood works."""
    try:
        layout = Layout.parse(text)
    except LayoutError as error:
        assert error.hint
    else:
        assert layout.origin(("a",) * layout.source_depth).source == "/".join("a" * layout.source_depth)


def rows(heading):
    """The cells of the rows of the first table below a heading of the page, without back quotes."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_lists_all_names():
    """The page has each field with each of its names, and whether it may be empty, as the code does."""
    written = {
        field: {field, *(also.lower() for also in others.split())} for field, others, _, _ in rows("Fields")
    }
    assert written == {field: set(names) for field, names in ALIASES.items()}
    for field, _, _, empty in rows("Fields"):
        text = f"{{{field}}}_{{pod}}" if field != "pod" else "{pod}_{node}"
        assert Layout.parse(text).origin(("_" + "pod" * (field != "pod"),)).matched is (empty == "yes"), field


def test_the_page_lists_the_built_in_layouts():
    """Name and meaning of the built-in layouts stand on the page."""
    assert {name.split()[0]: text for name, text, _ in rows("Two spellings")} == BUILT_IN


def test_the_examples_of_the_page():
    """The page's examples of ambiguous names and of Pods' names are what comes out."""
    for text, name, namespace, pod, node_ip in rows("When a name could be read in two ways"):
        (origin,) = describe(Layout.parse(text), [name])
        assert (origin.namespace or "", origin.pod, origin.node_ip or "") == (namespace, pod, node_ip)
    for pod, job, cronjob, at in rows("What a Pod's name says of its Job"):
        (origin,) = describe(Layout.parse("{pod}"), [pod])
        scheduled = f"{origin.scheduled_at:%Y-%m-%dT%H:%M:%SZ}" if origin.scheduled_at else ""
        assert (origin.job, origin.cronjob or "", scheduled) == (job, cronjob, at)

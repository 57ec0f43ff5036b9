"""Layouts: what directory names say, in both spellings."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.intake.layout import Layout, describe
from collector.intake.names import encode_name
from collector.model import Origin

SUBPATH = "$(POD_NAMESPACE)_$(POD_NAME)_$(POD_IP)_$(NODE_IP)_$(NODE_NAME)"
UID = "0b7d1d2c-6a0e-4b0e-9d57-0f1f5f1f2a3b"
RUN = datetime(2025, 2, 19, 22, 37, tzinfo=UTC)

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
SUBDOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ADDRESSES = st.one_of(st.just(""), st.ip_addresses().map(str))


def origin_of(layout, path):
    return Layout.parse(layout).origin(tuple(path.split("/")))


def test_the_default_layout():
    """A directory that the Job's subPathExpr made gives all metadata, Job and schedule included."""
    name = "team-a_nightly-29000077-x7k2p_10.1.2.3_192.168.0.9_node-1.example.internal"
    assert origin_of("subpath", name) == Origin(
        source=name,
        matched=True,
        namespace="team-a",
        job="nightly-29000077",
        pod="nightly-29000077-x7k2p",
        pod_ip="10.1.2.3",
        node_ip="192.168.0.9",
        node="node-1.example.internal",
        cronjob="nightly",
        scheduled_at=RUN,
    )


def test_what_a_layout_tells_of_itself():
    """Depth, further columns, line format and text are known before any name is."""
    kubelet = Layout.parse("kubelet")
    assert (kubelet.source_depth, kubelet.field_names, kubelet.line_format) == (1, ("uid", "restart"), "cri")
    assert Layout.parse(kubelet.text) == kubelet
    deep = Layout.parse("logs/{team}/{namespace}/{pod}/{container}/{part}")
    assert (deep.source_depth, deep.field_names, deep.line_format) == (4, ("team", "part"), "plain")


@given(LABELS, SUBDOMAINS, ADDRESSES, ADDRESSES, st.just("") | SUBDOMAINS)
def test_what_is_written_is_read(namespace, pod, pod_ip, node_ip, node):
    """Whatever names Kubernetes allows: both spellings, and the built-in name, give them back."""
    name = f"{namespace}_{pod}_{pod_ip}_{node_ip}_{node}"
    origins = [
        origin_of(text, name) for text in ("subpath", SUBPATH, "{namespace}_{pod}_{pod_ip}_{node_ip}_{node}")
    ]
    assert origins[0] == origins[1] == origins[2]
    origin = origins[0]
    if len(name) > 255:
        assert not origin.matched
        return
    assert (origin.namespace, origin.pod, origin.node or "") == (namespace, pod, node)
    for found, written in ((origin.pod_ip, pod_ip), (origin.node_ip, node_ip)):
        assert found is None if not written else ip_address(found) == ip_address(written)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("FD00:0:0::0A", "fd00::a"),
        ("::1", "::1"),
        ("::FFFF:10.0.0.7", "::ffff:10.0.0.7"),
        ("::ffff:a00:7", "::ffff:10.0.0.7"),
        ("", None),
    ],
)
def test_addresses_are_canonical(written, canonical):
    """One address has one spelling in the export, on every version of Python."""
    origin = origin_of("subpath", f"ns_pod_{written}_{written}_")
    assert (origin.matched, origin.pod_ip, origin.node_ip, origin.node) == (True, canonical, canonical, None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "lost+found",
        "ns",
        "ns_pod",
        "_pod_10.0.0.1_10.0.0.2_node",
        "ns__10.0.0.1_10.0.0.2_node",
        "NS_pod_10.0.0.1_10.0.0.2_node",
        "ns_Pod_10.0.0.1_10.0.0.2_node",
        "n.s_pod_10.0.0.1_10.0.0.2_node",
        "ns_-pod_10.0.0.1_10.0.0.2_node",
        "ns_p..d_10.0.0.1_10.0.0.2_node",
        "ns_p.-d_10.0.0.1_10.0.0.2_node",
        "ns_pod_10.0.0.256_10.0.0.2_node",
        "ns_pod_10.0.0.01_10.0.0.2_node",
        "ns_pod_10.0.0_10.0.0.2_node",
        "ns_pod_fe80::1%eth0_10.0.0.2_node",
        "ns_pod_1::2::3_10.0.0.2_node",
        "ns_pod_10.0.0.1_10.0.0.2_node\n",
        "ns_pod_10.0.0.1_10.0.0.2_node_",
        "ns_pod_\u0661.0.0.1_10.0.0.2_node",
        "n" * 64 + "_pod_10.0.0.1_10.0.0.2_node",
        os.fsdecode(b"ns_pod_10.0.0.1_10.0.0.2_\xff"),
    ],
)
def test_what_does_not_match_has_no_metadata(name):
    """A name with a value that Kubernetes cannot have written is a source with its name alone."""
    assert origin_of("subpath", name) == Origin(source=encode_name(name) or ".", matched=False)
    assert not Layout.parse("subpath").level_matches(0, name)


def test_the_root_and_other_depths():
    """The volume's root, and a directory that is not as deep as sources are, have no metadata."""
    layout = Layout.parse("logs/{namespace}/{pod}")
    assert layout.origin(()) == Origin(".")
    assert layout.origin(("logs", "ns")) == Origin("logs/ns")
    assert layout.origin(("logs", "ns", "pod", "x")) == Origin("logs/ns/pod/x")
    assert layout.origin(("other", "ns", "pod")) == Origin("other/ns/pod")
    assert layout.origin(("logs", "ns", "50%")) == Origin("logs/ns/50%25")
    assert layout.origin(("logs", "ns", "pod")).matched


def test_levels_one_by_one():
    """Discovery can ask of each level whether a directory may stand there."""
    layout = Layout.parse("kubelet")
    assert layout.level_matches(0, f"ns_pod_{UID}")
    assert not layout.level_matches(0, "ns_pod")
    assert layout.level_matches(1, "main")
    assert not layout.level_matches(1, "Main")
    assert not layout.level_matches(2, "0.log")  # a file's level
    assert not layout.level_matches(3, "x")


@pytest.mark.parametrize("uid", [UID, "4ca0f1dc7e2e8ba0d8ccb9b5ba1ab1a2"])
def test_files_of_the_kubelet(uid):
    """Container and restart come from below the source; static Pods' hashes are uids, too."""
    layout = Layout.parse("kubelet")
    source = layout.origin((f"kube-system_etcd-node1_{uid}",))
    assert (source.matched, source.pod, source.container, source.fields) == (
        True,
        "etcd-node1",
        None,
        (("uid", uid),),
    )
    whole = replace(source, container="etcd", fields=(("uid", uid), ("restart", "3")))
    assert layout.file_origin(source, ("etcd", "3.log")) == whole
    assert layout.file_origin(source, ("etcd", "3.log.20261122-101500")) == whole


@pytest.mark.parametrize(
    ("parts", "container", "restart"),
    [
        (("main", "x.log"), "main", None),
        (("main", "sub", "0.log"), "main", None),
        (("main", "0.log", "x"), "main", None),
        (("0.log",), None, None),
        (("main",), None, None),
        (("Main", "0.log"), None, None),
        (("main", "0.logs"), "main", None),
        (("main", "0.log\n"), "main", None),
    ],
)
def test_files_that_match_in_part(parts, container, restart):
    """A file has the fields of the levels up to the first that does not match."""
    layout = Layout.parse("kubelet")
    source = layout.origin((f"ns_pod_{UID}",))
    origin = layout.file_origin(source, parts)
    assert (origin.container, dict(origin.fields).get("restart")) == (container, restart)


def test_files_of_layouts_without_deeper_levels():
    """Where only the source has metadata, and where the source did not match, a file adds nothing."""
    layout = Layout.parse("{namespace}/{pod}")
    source = layout.origin(("ns", "pod"))
    assert layout.file_origin(source, ("main", "0.log")) is source
    lost = Layout.parse("kubelet").origin(("lost+found",))
    assert Layout.parse("kubelet").file_origin(lost, ("main", "0.log")) is lost


@pytest.mark.parametrize(
    ("layout", "depth"),
    [
        ("{namespace}/{pod}/{container}", 2),
        ("{pod}/{namespace_of_team}", 1),
        ("{namespace}/{job}/{uid}/{container}", 3),
        ("{namespace}/{job}/{container}", 2),
        ("{uid}/{container}", 1),
        ("{namespace}/{node}", 2),
        ("{namespace}/{container}.log", 1),
        ("{namespace}/{pod}/logs", 2),
        ("$(POD_NAME).prod", 1),
    ],
)
def test_where_the_source_ends(layout, depth):
    """At the level of pod, else of uid, else of job, else at the last level of directories."""
    assert Layout.parse(layout).source_depth == depth


@pytest.mark.parametrize(
    ("layout", "path", "expected"),
    [
        ("{namespace}-{pod}", "team-a-nightly-x7k2p", {"namespace": "team", "pod": "a-nightly-x7k2p"}),
        ("{namespace}.{pod}", "team-a.b.c", {"namespace": "team-a", "pod": "b.c"}),
        ("{pod}.{node}", "a.b.c", {"pod": "a", "node": "b.c"}),
        ("{pod}-{node_ip}", "a-10-10.0.0.7", {"pod": "a-10", "node_ip": "10.0.0.7"}),
        ("{pod}.{node_ip}", "a.1.10.0.0.7", {"pod": "a.1", "node_ip": "10.0.0.7"}),
        ("{pod}:{pod_ip}:{node}", "a:fd00::7:b", {"pod": "a", "pod_ip": "fd00::7", "node": "b"}),
        ("{namespace}--{pod}", "a--b--c", {"namespace": "a", "pod": "b--c"}),
        ("pod-{pod}-logs", "pod-a-logs-logs", {"pod": "a-logs"}),
        (
            "{team}_{namespace}_{pod}",
            "Ä Ö_ns_pod",
            {"namespace": "ns", "pod": "pod", "fields": (("team", "Ä Ö"),)},
        ),
    ],
)
def test_names_that_could_be_read_in_two_ways(layout, path, expected):
    """From the left each field takes as little as it can, as long as all values are allowed."""
    origin = origin_of(layout, path)
    assert {name: getattr(origin, name) for name in expected} == expected


def test_fields_of_ones_own():
    """Any other name is a column: any text, empty is None, unprintable bytes are encoded."""
    layout = Layout.parse("$(BUILD_TEAM)_$(POD_NAMESPACE)_$(POD_NAME)_$(stage)")
    assert layout.field_names == ("build_team", "stage")
    assert layout.origin(("A+B_ns_pod_",)).fields == (("build_team", "A+B"), ("stage", None))
    assert layout.origin(("_ns_pod_x_y\n",)).fields == (("build_team", None), ("stage", "x_y%0A"))
    assert layout.origin((os.fsdecode(b"\xff_ns_pod_%"),)).fields == (("build_team", "%FF"), ("stage", "%25"))


@pytest.mark.parametrize("name", ["d", "n", "x", "e", "ti", "s", "o"])
def test_short_names_are_no_types(name):
    """A column called like a format letter still takes any text."""
    assert origin_of(f"{{pod}}_{{{name}}}", "a_+7 ü").fields == ((name, "+7 ü"),)


def test_names_that_no_file_system_gives():
    """A name of up to 255 characters can match, a longer one never does."""
    layout = Layout.parse("{team}_{pod}")
    assert layout.origin(("a" * 253 + "_p",)).matched
    assert not layout.origin(("a" * 254 + "_p",)).matched


def test_job_and_index_fields_settle_it():
    """A job field wins over the Pod's name; a known index is taken off the Job that a name gives."""
    assert origin_of("{namespace}_{pod}_{job}", "ns_render-7-x7k2p_render").job == "render"
    assert origin_of("{namespace}_{pod}_{job}", "ns_render-7-x7k2p_").job == "render-7"
    assert origin_of("{namespace}_{pod}_{index}", "ns_render-7-x7k2p_7").job == "render"
    assert origin_of("{namespace}_{pod}_{index}", "ns_render-7-x7k2p_").job == "render-7"
    assert origin_of("{namespace}_{pod}_{index}", "ns_render-17-x7k2p_7").job == "render-17"
    cron = origin_of("{namespace}_{pod}_{job}", "ns_odd_nightly-29000077")
    assert (cron.job, cron.cronjob, cron.scheduled_at) == ("nightly-29000077", "nightly", RUN)


def test_literal_dollars_and_regular_expressions():
    """`$$(X)` is the text `$(X)` as in Kubernetes, and no other character has a meaning."""
    assert origin_of("$$(X)^a.*[b]?+|_$(POD_NAME)", "$(X)^a.*[b]?+|_p").pod == "p"
    assert not origin_of("a.b_{pod}", "axb_p").matched
    assert not origin_of("LOGS_{pod}", "logs_p").matched
    assert origin_of("$$_{pod}", "$$_p").pod == "p"


def test_describe_for_the_command_line():
    """Names may be paths of several levels, of a directory or of a file."""
    names = [f"ns_a_{UID}", f"./ns_a_{UID}/main/", f"ns_a_{UID}/main/2.log", "else/where"]
    origins = describe(Layout.parse("kubelet"), names)
    assert [(origin.matched, origin.container) for origin in origins] == [
        (True, None),
        (True, "main"),
        (True, "main"),
        (False, None),
    ]
    assert dict(origins[2].fields)["restart"] == "2"
    assert origins[3].source == "else"
    assert [origin.source for origin in origins[:3]] == [f"ns_a_{UID}"] * 3
    (deep,) = describe(Layout.parse("{namespace}/{pod}/{container}"), ["ns/pod/main"])
    assert deep.container == "main"
    assert describe(Layout.parse("subpath"), [""]) == [Origin(".")]


HOSTILE = ["a-", "a.", "a_", "1", "1.", ":", "_", "-", "a", "a.-", "f:", "25", "\n", "\udcff", "{", "%"]


@pytest.mark.parametrize(
    "layout",
    [
        "subpath",
        "kubelet",
        "{namespace}-{pod}-{pod_ip}-{node_ip}-{node}",
        "{pod}-{node}-{job}_",
        "{a}-{b}-{c}-{d}-{pod}!",
        "{pod}.{node_ip}.{pod_ip}!",
        "/".join(f"{{l{level}}}" for level in range(15)) + "/{namespace}-{pod}-{node}",
    ],
)
def test_hostile_names_end(layout):
    """Names made to send a pattern searching are decided at once, on one level and on sixteen."""
    parsed = Layout.parse(layout)
    for piece in HOSTILE:
        for end in ("", "_", "!", "A"):
            name = (piece * 255)[: 255 - len(end)] + end
            assert parsed.origin((name,) * parsed.source_depth).source == encode_name(
                "/".join([name] * parsed.source_depth)
            )
            assert not parsed.level_matches(parsed.source_depth - 1, name * 16)
            parsed.file_origin(Origin("x", matched=True), (name, name))


@given(
    st.lists(st.binary(min_size=1, max_size=255), max_size=3),
    st.sampled_from(["subpath", "kubelet", "{a}/{pod}"]),
)
def test_any_name_has_an_origin(names, layout):
    """No sequence of bytes makes a layout fail, and `source` always leads back to the directory."""
    parts = tuple(os.fsdecode(name.replace(b"/", b"-").replace(b"\0", b"-")) for name in names)
    origin = Layout.parse(layout).origin(parts)
    assert origin.source == (encode_name("/".join(parts)) or ".")
    assert origin.matched or origin == Origin(origin.source)

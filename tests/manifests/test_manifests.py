"""The manifests are what Kubernetes takes, ask for no more than they need, and agree with the collector."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from collector import __version__, config
from collector.intake.layout import Layout
from collector.units import size_bytes

ROOT = Path(__file__).parent.parent.parent
MODES = ("pv", "hostpath")
FOLDERS = (*MODES, "pv/example", "hostpath/example")
CLUSTER_WIDE = {"Namespace"}
FIELDS = {
    "metadata.namespace": "batch",
    "metadata.name": "example-x7k2p",
    "spec.nodeName": "node-3",
}

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module")
def kubectl() -> str:
    """Where kubectl is: on the machine, or where `make setup` puts it."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("kubectl", path=os.pathsep.join([os.environ["PATH"], beside]))
    assert found, "kubectl is missing: `make setup` says why it could not get it; install it"
    return found


@pytest.fixture(scope="module")
def build(kubectl: str) -> Callable[[str], Objects]:
    """All objects of a folder of manifests, as `kubectl apply -k` would send them."""
    done: dict[str, Objects] = {}

    def render(folder: str) -> Objects:
        if folder not in done:
            command = [kubectl, "kustomize", str(ROOT / "manifests" / folder)]
            result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert result.returncode == 0, result.stderr
            done[folder] = list(yaml.safe_load_all(result.stdout))
        return done[folder]

    return render


def of_kind(objects: Objects, *kinds: str) -> dict[str, Any]:
    found = [each for each in objects if each["kind"] in kinds]
    assert len(found) == 1, [each["kind"] for each in objects]
    return found[0]


def pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Pod spec, with the name of what starts it."""
    for each in objects:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield f"{each['kind']}/{each['metadata']['name']}", template["spec"]


def collector_of(objects: Objects) -> tuple[dict[str, Any], dict[str, Any]]:
    """The collector's Pod spec and its one container."""
    ((_, pod),) = pods(objects)
    (container,) = pod["containers"]
    return pod, container


def example_pods(build: Callable[[str], Objects]) -> list[dict[str, Any]]:
    found = [pod for mode in MODES for _, pod in pods(build(f"{mode}/example"))]
    assert len(found) == 4, "a Job and a CronJob for each mode"
    return found


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["mountPath"]: mount for mount in container["volumeMounts"]}


def settings(mode: str) -> config.Config:
    path = ROOT / "manifests" / mode / "joblog.yaml"
    return config.load(path, {}, {"NODE_NAME": "node-3"})


@pytest.mark.parametrize("version", ["1.29", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid(build: Callable[[str], Objects], folder: str, version: str):
    """Each object has only fields that Kubernetes knows, with values it takes: of 1.29 and of the newest."""
    objects = build(folder)
    assert objects
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("folder", FOLDERS)
def test_all_is_in_one_namespace(build: Callable[[str], Objects], folder: str):
    """Everything is in namespace `joblog`, so that it can be found, limited and removed as one."""
    for each in build(folder):
        place = each["metadata"]["name" if each["kind"] in CLUSTER_WIDE else "namespace"]
        assert place == "joblog", each


@pytest.mark.parametrize("mode", MODES)
def test_what_is_named_is_there(build: Callable[[str], Objects], mode: str):
    """Claims, settings and accounts that Pods name exist under that very name; Secrets are optional."""
    objects = build(mode)
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    everything = [*pods(objects), *pods(build(f"{mode}/example"))]
    assert len(everything) == 3
    for who, pod in everything:
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names, who
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names, who
        if "serviceAccountName" in pod:
            assert ("ServiceAccount", pod["serviceAccountName"]) in names, who
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == {
                volume["name"] for volume in pod["volumes"]
            }, who
            for source in container.get("envFrom", []):
                assert source["secretRef"]["optional"], who


@pytest.mark.parametrize("folder", FOLDERS)
def test_containers_are_locked_down(build: Callable[[str], Objects], folder: str):
    """No capabilities, no way to gain any, a read-only root, the default seccomp profile, no API token."""
    found = list(pods(build(folder)))
    assert found
    for who, pod in found:
        assert pod["automountServiceAccountToken"] is False, who
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, who
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), who
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["capabilities"]["drop"] == ["ALL"], who
            assert context["allowPrivilegeEscalation"] is False, who
            assert context["readOnlyRootFilesystem"] is True, who
            assert "privileged" not in context, who
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, who
            assert "memory" in container["resources"]["limits"], who


def test_no_root_and_no_capability_on_a_claim(build: Callable[[str], Objects]):
    """On a claim the collector and the example Jobs are not root, and no capability is added."""
    for who, pod in [*pods(build("pv")), *pods(build("pv/example"))]:
        assert pod["securityContext"]["runAsNonRoot"] is True, who
        assert pod["securityContext"]["runAsUser"] > 0, who
        for container in pod["containers"]:
            assert "add" not in container["securityContext"]["capabilities"], who


def test_one_capability_on_a_node(build: Callable[[str], Objects]):
    """On a node's folder the collector may read every user's files, and nothing beyond that."""
    pod, container = collector_of(build("hostpath"))
    assert container["securityContext"]["capabilities"]["add"] == ["DAC_READ_SEARCH"]
    for who, pod in pods(build("hostpath/example")):
        assert "add" not in pod["containers"][0]["securityContext"]["capabilities"], who


@pytest.mark.parametrize("mode", MODES)
def test_settings_agree_with_the_pod(build: Callable[[str], Objects], mode: str):
    """The settings load, and speak of the folders, the port and the memory that the Pod has."""
    objects = build(mode)
    _, container = collector_of(objects)
    assert of_kind(objects, "ConfigMap")["data"] == {
        "joblog.yaml": (ROOT / "manifests" / mode / "joblog.yaml").read_text()
    }
    loaded = settings(mode)
    places = mounts(container)
    (volume,) = loaded.volumes
    assert places[str(volume.path)]["readOnly"] is True
    assert "readOnly" not in places[str(loaded.state)]
    assert container["args"] == ["run", "--config", "/etc/joblog/joblog.yaml"]
    assert "/etc/joblog" in places
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert loaded.http == "0.0.0.0:8080"
    limit = size_bytes(container["resources"]["limits"]["memory"] + "B")
    assert loaded.limits.memory_bytes <= limit * 3 / 4


@pytest.mark.parametrize("mode", MODES)
def test_probes(build: Callable[[str], Objects], mode: str):
    """Kubernetes asks /healthz whether to restart the collector, and /readyz whether it can work."""
    pod, container = collector_of(build(mode))
    asked = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {
        "startup": {"path": "/healthz", "port": "http"},
        "liveness": {"path": "/healthz", "port": "http"},
        "readiness": {"path": "/readyz", "port": "http"},
    }
    assert pod["terminationGracePeriodSeconds"] == 60


def test_two_collectors_never_share_a_volume(build: Callable[[str], Objects]):
    """On a claim there is one, and the old ends before the new starts; on nodes each has its own name."""
    deployment = of_kind(build("pv"), "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    daemon_set = of_kind(build("hostpath"), "DaemonSet")["spec"]
    assert daemon_set["updateStrategy"]["rollingUpdate"]["maxSurge"] == 0
    assert daemon_set["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert [volume.name for volume in settings("hostpath").volumes] == ["node-3"]


def test_claims(build: Callable[[str], Objects]):
    """All nodes may mount the logs at once; one has the state."""
    modes = {
        each["metadata"]["name"]: each["spec"]["accessModes"]
        for each in build("pv")
        if each["kind"] == "PersistentVolumeClaim"
    }
    assert modes == {"joblogs": ["ReadWriteMany"], "joblog-state": ["ReadWriteOnce"]}


def test_jobs_and_collector_use_the_same_folder(build: Callable[[str], Objects]):
    """The collector reads where the example Jobs write: the claim, or the folder of the node."""
    for mode in MODES:
        pod, _ = collector_of(build(mode))
        watched = next(volume for volume in pod["volumes"] if volume["name"] == "joblogs")
        for who, example in pods(build(f"{mode}/example")):
            (written,) = example["volumes"]
            if mode == "pv":
                assert written["persistentVolumeClaim"]["claimName"] == "joblogs", who
                assert watched["persistentVolumeClaim"]["claimName"] == "joblogs"
            else:
                assert written["hostPath"] == watched["hostPath"], who
                assert written["hostPath"]["type"] == "DirectoryOrCreate", who


def expand(container: dict[str, Any], pod_ip: str, host_ip: str) -> str:
    """The sub-path that a kubelet makes of a container's subPathExpr and its Downward API variables."""
    fields = {**FIELDS, "status.podIP": pod_ip, "status.hostIP": host_ip}
    values = {each["name"]: fields[each["valueFrom"]["fieldRef"]["fieldPath"]] for each in container["env"]}
    return re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], container["volumeMounts"][0]["subPathExpr"])


@pytest.mark.parametrize(("pod_ip", "host_ip"), [("10.1.2.3", "192.168.7.9"), ("fd00::1:2", "fd00::9")])
def test_the_collector_understands_the_directory(build: Callable[[str], Objects], pod_ip: str, host_ip: str):
    """What the kubelet makes of each example's subPathExpr tells the collector whose directory it is."""
    for mode in MODES:
        layout = Layout.parse(settings(mode).volumes[0].layout)
        for _, pod in pods(build(f"{mode}/example")):
            origin = layout.origin((expand(pod["containers"][0], pod_ip, host_ip),))
            assert (origin.namespace, origin.job, origin.pod) == ("batch", "example", "example-x7k2p")
            assert (origin.pod_ip, origin.node_ip, origin.node) == (pod_ip, host_ip, "node-3")


@pytest.mark.parametrize(("then", "code"), [("", 0), ("exit 3", 3), ("set -e; false; echo not reached", 1)])
def test_the_tombstone_is_the_last_word(
    build: Callable[[str], Objects], tmp_path: Path, then: str, code: int
):
    """The examples' scripts write their log, then a tombstone with the exit code, also when they fail."""
    for number, pod in enumerate(example_pods(build)):
        folder = tmp_path / str(number)
        folder.mkdir()
        container = pod["containers"][0]
        assert list(mounts(container)) == ["/logs"]
        (script,) = container["args"]
        script = script.replace("/logs/", f"{folder}/").replace("sleep 1", ":")
        command = ["/bin/sh", "-c", f"{script}\n{then}"]
        result = subprocess.run(command, capture_output=True, timeout=30, check=False)
        assert result.returncode == code
        assert (result.stdout, result.stderr) == (b"", b"")
        assert (folder / "tombstone").read_text() == f"{code}\n"
        assert (folder / "app.log").read_text()


@pytest.mark.parametrize("mode", MODES)
def test_the_image_is_of_this_version(build: Callable[[str], Objects], mode: str):
    """The manifests start the version that they belong to."""
    _, container = collector_of(build(mode))
    assert container["image"] == f"joblog:{__version__}"


@pytest.mark.parametrize("mode", MODES)
def test_the_network_policy_lets_little_through(build: Callable[[str], Objects], mode: str):
    """In comes what asks port 8080; out goes what resolves names or speaks HTTPS."""
    objects = build(mode)
    policy = of_kind(objects, "NetworkPolicy")["spec"]
    ports = {
        way: sorted((each["protocol"], each["port"]) for rule in policy[way] for each in rule["ports"])
        for way in ("ingress", "egress")
    }
    assert ports == {"ingress": [("TCP", 8080)], "egress": [("TCP", 53), ("TCP", 443), ("UDP", 53)]}
    labels = of_kind(objects, "Deployment", "DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("folder", ["pv/example", "hostpath/example"])
def test_the_page_shows_what_the_examples_do(folder: str):
    """Each snippet that docs/kubernetes.md tells to copy stands in each example as it is."""
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    part = page[page.index("## What a Job has to do") : page.index("## Who may write")]
    snippets = re.findall(r"```\w+\n(.*?)```", part, re.DOTALL)
    assert len(snippets) == 3
    for name in ("job.yaml", "cronjob.yaml"):
        lines = [
            re.sub(r" +#.*", "", line).strip()
            for line in (ROOT / "manifests" / folder / name).read_text().splitlines()
        ]
        for snippet in snippets:
            wanted = [line.strip() for line in snippet.splitlines()]
            starts = [at for at in range(len(lines)) if lines[at : at + len(wanted)] == wanted]
            assert len(starts) == 1, (name, snippet)

"""The image, built and run as the manifests run it: read-only root, no capabilities, not root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from collector import __version__

ROOT = Path(__file__).parent.parent.parent
TAG = "localhost/joblog:test"
SOURCE = "batch_example-x7k2p_10.1.2.3_192.168.7.9_node-3"
JOB_USER = 1000
COLLECTOR_USER = 65532

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a command in a hardened container of the image, which is built from this tree first."""
    parts = os.environ.get("JOBLOG_REAL_PARTS")
    if not parts:
        pytest.skip("JOBLOG_REAL_PARTS does not name the folder of the scripts that start real servers")
    script = str(Path(parts, "image.sh"))
    subprocess.run([script, "build", str(ROOT), TAG], check=True, timeout=900)

    def container(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "IMAGE_MEMORY": "512m"}
        command = [script, "run", *arguments]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)

    return container


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A volume with one finished Job, a folder for the export and one for the state."""
    source = tmp_path / "logs" / SOURCE
    source.mkdir(parents=True)
    (source / "app.log").write_text("one\ntwo\n")
    (source / "tombstone").write_text("0\n")
    for name in ("export", "state"):
        (tmp_path / name).mkdir()
    tmp_path.chmod(0o755)
    return tmp_path


def collect(run: Run, tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    volumes = {"logs": "/mnt/joblogs:ro", "export": "/export", "state": "/var/lib/joblog"}
    mounts = [part for name, place in volumes.items() for part in ("-v", f"{tree / name}:{place}")]
    command = ["run", "--volume", "/mnt/joblogs", "--to", "/export", "--once"]
    return run(*options, *mounts, TAG, *command)


def owned_by(user: int, *paths: Path) -> None:
    for path in paths:
        os.chown(path, user, user)


def test_it_says_its_version(run: Run):
    """The image runs `joblog`, of the version of this tree, with a read-only root and no network."""
    result = run(TAG, "--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"joblog {__version__}"), result.stderr


def test_there_is_no_compiler_and_no_root(run: Run):
    """The final stage has no compiler, and its user is not root."""
    result = run("--entrypoint", "sh", TAG, "-c", "id -u; command -v cc gcc g++ ld; true")
    assert (result.returncode, result.stdout) == (0, f"{COLLECTOR_USER}\n"), result.stderr


def test_it_collects_without_being_root(run: Run, tree: Path):
    """As on a claim: the collector's user, no capability, the logs read-only."""
    owned_by(COLLECTOR_USER, tree / "export", tree / "state")
    result = collect(run, tree)
    assert result.returncode == 0, result.stderr
    assert len(list(tree.glob("export/data/**/*.parquet"))) == 1
    assert len(list(tree.glob("export/_joblog/receipts/batch/*.json"))) == 1


def test_a_node_needs_the_one_capability(run: Run, tree: Path):
    """As on a node: files that only their Job's user may read need DAC_READ_SEARCH, and only that."""
    private = tree / "logs" / SOURCE / "app.log"
    private.chmod(0o600)
    owned_by(JOB_USER, private)
    root = ["--user", "0:0"]
    without = collect(run, tree, *root)
    assert without.returncode == 1, without.stderr
    assert not list(tree.glob("export/data/**/*.parquet"))
    with_it = collect(run, tree, *root, "--cap-add", "DAC_READ_SEARCH")
    assert len(list(tree.glob("export/data/**/*.parquet"))) == 1, with_it.stderr

"""`joblog check`, run as a user runs it, on real folders, locks and an S3 endpoint over HTTP."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from collector.model import Owner
from collector.state.folder import StateFolder

JOBLOG = Path(sys.executable).with_name("joblog")
POD = "default_demo-x6nnw_10.99.0.2_192.168.250.2_n1"
VOLUME_CHECKS = ("volume default", "layout default", "watch default")
LATER_CHECKS = ("destination", "state", "open files", "memory")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "volume" / POD).mkdir(parents=True)
    return tmp_path / "volume"


def check(
    *arguments: str, config: str = "", tmp_path: Path | None = None, **more
) -> subprocess.CompletedProcess:
    if config and tmp_path:
        (tmp_path / "joblog.yaml").write_text(config)
        arguments = ("--config", str(tmp_path / "joblog.yaml"), *arguments)
    return subprocess.run(
        [JOBLOG, "check", *arguments], capture_output=True, text=True, timeout=60, check=False, **more
    )


def findings(result: subprocess.CompletedProcess) -> dict[str, tuple[str, int]]:
    return {row["check"]: (row["verdict"], row["exit_code"]) for row in json.loads(result.stdout)}


def options(tmp_path: Path, **more: str) -> list[str]:
    given = {"volume": f"{tmp_path}/volume", "to": f"{tmp_path}/export", "state": f"{tmp_path}/state", **more}
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def test_all_is_well(tmp_path, volume):
    """Every look is ok, exit code 0, and what is left behind is one object and the state folder."""
    result = check(*options(tmp_path), "-o", "json")
    assert (result.returncode, result.stderr) == (0, "")
    assert findings(result) == dict.fromkeys(["configuration", *VOLUME_CHECKS, *LATER_CHECKS], ("ok", 0))
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [Path("export/_joblog/check.json")]
    assert check(*options(tmp_path)).returncode == 0


def test_each_line_says_verdict_check_detail_and_hint(tmp_path, volume):
    """For people: one line a look; a directory that does not match is a warning with an example."""
    (volume / "odd\x1b[2J").mkdir()
    result = check(*options(tmp_path))
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["ok", "configuration", "understood"]
    (warning,) = [line for line in lines if line.startswith("warn")]
    assert '"subpath" matches 1 of 2 directories: odd%1B[2J, for one' in warning


def test_faults_of_the_configuration_are_all_there(tmp_path):
    """Layout, patterns and destination are faults of their place, beside all others; exit code 2."""
    config = "volumes:\n  - path: /v\n    layout: nope\n    include: ['!']\nto: ftp://x\nshards: 0\n"
    result = check(config=config, tmp_path=tmp_path)
    assert result.returncode == 2
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["fail", "configuration", "4", "faults", "in", "the", "configuration"]
    assert [line.split(":")[1:4] for line in lines[1:]] == [
        ["3", "5", " volumes[0].layout"],
        ["4", "5", " volumes[0].include"],
        ["5", "1", " to"],
        ["6", "1", " shards"],
    ]


def test_the_first_failure_gives_the_exit_code_and_hides_no_other(tmp_path):
    """A missing volume (2), a destination that is a file (3), and a state folder that is a file (4)."""
    (tmp_path / "export").write_text("a file")
    (tmp_path / "state").write_text("a file")
    result = check(*options(tmp_path), "-o", "json")
    assert result.returncode == 2
    found = findings(result)
    assert (found["volume default"], found["destination"], found["state"]) == (
        ("fail", 2),
        ("fail", 3),
        ("fail", 4),
    )
    (tmp_path / "volume").mkdir()
    assert check(*options(tmp_path)).returncode == 3
    (tmp_path / "export").unlink()
    assert check(*options(tmp_path)).returncode == 4


def test_a_state_folder_in_use_is_told_with_its_holder(tmp_path, volume):
    """Another process holds the lock: exit code 4 and who it is."""
    folder = StateFolder(tmp_path / "state", "default", 0)
    folder.lock(Owner(instance="i", host="node-7", pid=4711, version="1"))
    result = check(*options(tmp_path))
    folder.close()
    assert result.returncode == 4
    assert "is in use by node-7 pid 4711" in result.stdout
    assert check(*options(tmp_path)).returncode == 0


def test_limits_that_do_not_fit_are_warnings(tmp_path, volume):
    """Too few file descriptors, and batches for which there is not the memory."""
    few_files = ["sh", "-c", 'ulimit -n 200; exec "$@"', "sh"]
    (tmp_path / "joblog.yaml").write_text("limits: {memory: 256MiB}\nbatch: {max_bytes: 64MiB}\n")
    command = [JOBLOG, "check", "--config", tmp_path / "joblog.yaml", *options(tmp_path), "-o", "json"]
    result = subprocess.run([*few_files, *command], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0
    assert [findings(result)[name][0] for name in ("open files", "memory")] == ["warn", "warn"]


def test_layouts_of_several_levels_are_tried_where_sources_stand(tmp_path):
    """The source directory may be two levels deep; an empty volume is no fault."""
    (tmp_path / "volume" / "team" / "default_demo-x6nnw").mkdir(parents=True)
    result = check(*options(tmp_path, layout="{team}/{namespace}_{pod}"))
    assert result.returncode == 0
    assert "matches 1 of 1 directory" in result.stdout
    (tmp_path / "empty").mkdir()
    assert "no directory yet" in check(*options(tmp_path, volume=f"{tmp_path}/empty")).stdout


AS_NOBODY = """
import os, sys
import collector.cli.check  # before the change: the interpreter's folders may be closed to others
from collector.cli.frame import main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(["check", *sys.argv[1:]]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_this_user_may_not_read_or_write_is_told():
    """What Jobs keep to themselves is a warning; a closed state folder is exit code 4 and what to do."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "volume" / POD).mkdir(parents=True)
        (root / "volume" / POD).chmod(0o700)
        (root / "state").mkdir(mode=0o755)
        (root / "open").mkdir()
        (root / "open").chmod(0o777)
        result = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *options(root, to=f"{root}/open/export")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 4, result.stdout + result.stderr
    assert (
        f"warn  volume default    {root}/volume: 1 directory found; 1 cannot be read: let the user"
        in result.stdout
    )
    assert "make the state folder writable for this user, or name another with --state" in result.stdout


def test_a_bucket(tmp_path, volume, moto, monkeypatch):
    """A bucket that is there is written and read; one that is not is exit code 3 in one line."""
    moto.use(monkeypatch)
    bucket = moto.new_bucket()
    for _ in range(2):
        result = check(*options(tmp_path, to=moto.store_url(bucket)), "-o", "json")
        assert (result.returncode, findings(result)["destination"]) == (0, ("ok", 0)), result.stdout
    (left,) = moto.client.list_objects_v2(Bucket=bucket)["Contents"]
    assert left["Key"] == "prefix/_joblog/check.json"
    result = check(*options(tmp_path, to=moto.store_url("joblog-nope")))
    assert result.returncode == 3
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("fail")]
    assert "no such bucket" in line


def limit_inotify() -> list[str]:
    """A command that runs another in a user namespace where the kernel gives no inotify instance."""
    return ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh"]


@pytest.mark.skipif(
    subprocess.run([*limit_inotify(), "true"], capture_output=True, check=False).returncode != 0,
    reason="this system makes no user namespaces",
)
def test_notification_that_the_kernel_refuses_is_a_warning(tmp_path, volume):
    """Where inotify is used up, check says which setting of the kernel to raise, and goes on."""
    command = [*limit_inotify(), str(JOBLOG), "check", *options(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line[6:].startswith("watch default")]
    assert line.startswith("warn")
    assert "fs.inotify.max_user_instances" in line

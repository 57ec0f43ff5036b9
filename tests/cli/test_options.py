"""Options that commands share: where the destination of those that read back comes from."""

import os
import subprocess
import sys
from pathlib import Path

JOBLOG = Path(sys.executable).with_name("joblog")
UNREACHABLE = "s3://bucket/prefix?endpoint_url=http://127.0.0.1:1&region=us-east-1"


def jobs(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("JOBLOG_", "AWS_"))}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [JOBLOG, "jobs", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**ours, **keys, **variables},
    )


def test_without_a_destination_the_ways_to_give_one_are_said():
    """Exit code 2 and one line."""
    result = jobs()
    assert result.returncode == 2
    assert result.stderr == (
        "joblog: error: there is no destination: give --to URL, JOBLOG_TO, or --config FILE\n"
    )


def test_option_wins_over_environment_over_file(tmp_path):
    """Each is a folder of its own; the one that was asked is named in the answer."""
    for name in ("option", "environment", "file"):
        (tmp_path / name).mkdir()
    config = tmp_path / "joblog.yaml"
    config.write_text(f"to: {tmp_path}/${{WHICH}}\n")
    more = {"WHICH": "file", "JOBLOG_CONFIG": str(config)}
    assert f"{tmp_path}/file" in jobs(**more).stderr
    more["JOBLOG_TO"] = f"{tmp_path}/environment"
    assert f"{tmp_path}/environment" in jobs(**more).stderr
    assert f"{tmp_path}/option" in jobs("--to", f"{tmp_path}/option", **more).stderr


def test_a_destination_that_does_not_answer_is_asked_again_then_told():
    """Three times it is said why it takes longer; then exit code 3 and what to do."""
    result = jobs("--to", UNREACHABLE)
    assert (result.returncode, result.stdout) == (3, "")
    *again, last = result.stderr.splitlines()
    assert [line.endswith(": trying again") for line in again] == [True] * 3
    assert last.startswith("joblog: error: s3://bucket")

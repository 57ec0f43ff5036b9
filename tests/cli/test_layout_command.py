"""`joblog layout`, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

JOBLOG = Path(sys.executable).with_name("joblog")
POD = "default_demo-x6nnw_10.99.0.2_fd00::2_node-1"


def layout(*arguments: str | bytes) -> subprocess.CompletedProcess:
    return subprocess.run(
        [JOBLOG, "layout", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_table_shows_the_fields_of_each_name():
    """One header, one line a name; columns that nobody fills are left out."""
    result = layout("subpath", POD)
    assert (result.returncode, result.stderr) == (0, "")
    header, row = result.stdout.splitlines()
    assert dict(zip(header.split(), row.split(), strict=True)) == {
        "name": POD,
        "matched": "yes",
        "source": POD,
        "namespace": "default",
        "job": "demo",
        "pod": "demo-x6nnw",
        "pod_ip": "10.99.0.2",
        "node_ip": "fd00::2",
        "node": "node-1",
    }


def test_names_that_do_not_match_are_exit_code_1():
    """All names are shown; one that does not match makes the exit code 1."""
    result = layout("$(POD_NAMESPACE)_$(POD_NAME)_$(POD_IP)_$(NODE_IP)_$(NODE_NAME)", POD, "lost+found")
    assert result.returncode == 1
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["matched", "yes", "no"]


def test_json_has_all_fields_of_files_too():
    """For scripts: null where a name does not tell, times in RFC 3339, further fields of the layout."""
    result = layout("kubelet", "ci_nightly-29338560-x6nnw_77-a/main/3.log", "-o", "json")
    (row,) = json.loads(result.stdout)
    assert (row["matched"], row["source"], row["container"]) == (
        True,
        "ci_nightly-29338560-x6nnw_77-a",
        "main",
    )
    assert (row["cronjob"], row["scheduled_at"]) == ("nightly", "2025-10-13T00:00:00Z")
    assert (row["uid"], row["restart"], row["pod_ip"]) == ("77-a", "3", None)


def test_hostile_names_are_encoded():
    """Control characters and bytes that are not UTF-8 never reach the terminal."""
    result = layout("{pod}", os.fsdecode(b"\x1b[2J\xff\n"))
    assert result.stdout.splitlines()[1].startswith("%1B[2J%FF%0A")


def test_a_layout_that_is_none_is_exit_code_2():
    """One line that shows the layout and what to do."""
    result = layout("{namespace", "x")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "{namespace" in line

"""`joblog status` as a process, against a real server."""

import http.server
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.status import DiscoverySeconds, FilesWaiting, ShardStatus
from collector.web.metrics import Metrics
from collector.web.server import WebServer

JOBLOG = str(Path(sys.executable).with_name("joblog"))
STATUS = ShardStatus(
    volume="default",
    shard=0,
    path="/mnt/joblogs",
    to="s3://logs/prod",
    state="collecting",
    ready=True,
    reason="",
    watch="inotify",
    watch_reason="ext4 is local",
    epoch=1,
    sequence=5,
    sources=30,
    sources_unmatched=0,
    sources_finished=12,
    files=41,
    open_files=9,
    backlog_bytes=3 << 20,
    batch_rows=0,
    batch_bytes=0,
    committed_rows=1_234,
    committed_bytes=200_000,
    lost_bytes={"deleted": 10, "truncated": 20},
    last_commit_at=None,
    last_scan_at=datetime(2026, 11, 22, 9, 5, tzinfo=UTC),
    last_scan_seconds=0.01,
    files_waiting=FilesWaiting(1, 2, 3),
    watched_directories=31,
    discovery_seconds=DiscoverySeconds(0.001, 0.0098),
)


def status(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [JOBLOG, "status", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **variables},
    )


@contextmanager
def serving(*statuses: ShardStatus) -> Iterator[str]:
    server = WebServer("127.0.0.1:0", lambda: statuses, Metrics(), lambda: datetime.now(UTC))
    server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()


@contextmanager
def answering(body: bytes, code: int = 200) -> Iterator[str]:
    """Some other program's HTTP server."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_line_for_each_shard():
    """A header and a line each, in columns, with nothing cut off in a pipe; then how each finds new files."""
    away = replace(STATUS, shard=1, ready=False, reason="the destination answers 403")
    with serving(STATUS, away) as address:
        done = status("--http", address)
    assert done.returncode == 0, done.stderr
    header, first, second, found, _ = done.stdout.splitlines()
    assert header.split()[:4] == ["VOLUME", "SHARD", "STATE", "SOURCES"]
    assert re.sub(" +", " ", first).strip() == (
        "default 0 collecting 30 (12 finished) 41 3.0 MiB 1234 never 30 B s3://logs/prod"
    )
    assert "collecting (not ready: the destination answers 403)" in second
    assert found == (
        "watch of default: inotify (ext4 is local); 31 directories watched; last scan 0.010 s; "
        "new files read after 0.001 s (p50), 0.010 s (p99); "
        "files waiting: 1 to be read, 2 for a line, 3 to retry"
    )


def test_json_is_what_the_collector_says():
    """`-o json` is `/api/status`, whole."""
    with serving(STATUS) as address:
        [one] = json.loads(status("--http", address, "-o", "json").stdout)
    assert one["backlog_bytes"] == 3 << 20
    assert one["last_scan_at"] == "2026-11-22T09:05:00Z"
    assert one["last_commit_at"] is None


def test_the_address_may_come_from_the_environment():
    """JOBLOG_HTTP is the same address that the collector reads; proxies are not asked for it."""
    with serving(STATUS) as address:
        done = status(JOBLOG_HTTP=address, http_proxy="http://192.0.2.1:9")
    assert done.returncode == 0, done.stderr


def test_before_the_first_shard():
    """A collector that has just started has nothing to show yet, and says so."""
    with serving() as address:
        done = status("--http", address)
    assert (done.returncode, done.stdout) == (0, "starting: there is no shard yet\n")


def test_nothing_of_the_answer_reaches_the_terminal_raw():
    """Escapes in a reason stay visible text."""
    with serving(replace(STATUS, ready=False, reason="\x1b[31mred\n")) as address:
        done = status("--http", address)
    assert "\x1b" not in done.stdout
    assert r"\x1b[31mred\n" in done.stdout
    assert done.stdout.count("\n") == 3


def test_nobody_listens():
    """One clear line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = status("--http", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert done.stderr == (
        f"joblog: error: no collector answers at 127.0.0.1:{port}: Connection refused: "
        "start one with `joblog run`, or name its address with --http\n"
    )


@pytest.mark.parametrize(("body", "code"), [(b"hello", 200), (b'{"a": 1}', 200), (b"[]", 404)])
def test_somebody_else_listens(body: bytes, code: int):
    """Another program's answer is told from a collector's."""
    with answering(body, code) as address:
        done = status("--http", address)
    assert done.returncode == 1
    assert f"what answers at {address} is not a collector" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["nonsense", "off", "[::1"])
def test_a_wrong_address(address: str):
    """One line, exit code 2."""
    done = status("--http", address)
    assert done.returncode == 2
    assert "HOST:PORT" in done.stderr
    assert done.stderr.count("\n") == 1

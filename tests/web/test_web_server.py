"""The HTTP server, over real sockets: what it answers, and what it bears."""

import base64
import hashlib
import http.client
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from collector.errors import ConfigError
from collector.status import ShardStatus
from collector.web.metrics import Metrics
from collector.web.server import LARGEST_REQUEST_BYTES, MOST_CONNECTIONS, SLOWEST_REQUEST_SECONDS, WebServer

NOW = datetime(2026, 11, 22, 9, 5, 7, 500_000, tzinfo=UTC)
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
    epoch=2,
    sequence=17,
    sources=30,
    sources_unmatched=1,
    sources_finished=12,
    files=41,
    open_files=9,
    backlog_bytes=4096,
    batch_rows=10,
    batch_bytes=1000,
    committed_rows=1_000_000,
    committed_bytes=200_000_000,
    lost_bytes={"deleted": 0, "truncated": 12},
    last_commit_at=NOW,
    last_scan_at=None,
    last_scan_seconds=0.25,
)
FAILED = replace(STATUS, shard=1, state="failed", ready=False, reason="another collector took over")
NOT_READY = replace(STATUS, shard=2, ready=False, reason="the destination answers 403")
DRAINING = replace(STATUS, shard=3, state="draining")


@contextmanager
def serving(*statuses: ShardStatus, address: str = "127.0.0.1:0") -> Iterator[WebServer]:
    server = WebServer(address, lambda: statuses, Metrics(), lambda: NOW)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(server: WebServer, path: str, method: str = "GET", host: str = "127.0.0.1", **headers: str):
    connection = http.client.HTTPConnection(host, server.port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def raw(server: WebServer, data: bytes) -> bytes:
    """All that comes back for these bytes; also where the server refuses them before it has read them all."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        with suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    return answer


def test_status_is_the_list_of_shards():
    """`/api/status` is a JSON list; each has the fields of the model, and times are RFC 3339."""
    with serving(STATUS, FAILED) as server:
        answer, body = ask(server, "/api/status")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    first, second = json.loads(body)
    assert first.pop("last_commit_at") == "2026-11-22T09:05:07.500000Z"
    expected = json.loads(json.dumps(asdict(STATUS), default=str))
    del expected["last_commit_at"]
    assert first == expected
    assert second["reason"] == "another collector took over"


@pytest.mark.parametrize(
    ("statuses", "code", "reasons"),
    [
        ([STATUS], 200, []),
        ([], 200, []),
        ([STATUS, NOT_READY, DRAINING], 200, []),
        ([STATUS, FAILED], 500, ["volume default, shard 1: another collector took over"]),
    ],
)
def test_health_is_about_failed_shards(statuses: list[ShardStatus], code: int, reasons: list[str]):
    """What may pass by itself (a destination that is away, a start, an end) is no reason to be killed."""
    with serving(*statuses) as server:
        answer, body = ask(server, "/healthz")
    assert answer.status == code
    assert json.loads(body) == {"healthy": not reasons, "reasons": reasons}


@pytest.mark.parametrize(
    ("statuses", "code", "reasons"),
    [
        ([STATUS], 200, []),
        ([], 503, ["starting: there is no shard yet"]),
        ([STATUS, NOT_READY], 503, ["volume default, shard 2: the destination answers 403"]),
        ([DRAINING], 503, ["volume default, shard 3: draining"]),
    ],
)
def test_readiness_says_why_not(statuses: list[ShardStatus], code: int, reasons: list[str]):
    """Ready is when every shard collects; otherwise each reason stands there in words."""
    with serving(*statuses) as server:
        answer, body = ask(server, "/readyz")
    assert answer.status == code
    assert json.loads(body) == {"ready": not reasons, "reasons": reasons}


def test_metrics_are_negotiated():
    """OpenMetrics for who asks for it, the older text format for anybody else, whatever the header holds."""
    with serving(STATUS) as server:
        new, new_body = ask(server, "/metrics", Accept="application/openmetrics-text;version=1.0.0")
        old, old_body = ask(server, "/metrics")
        odd = [
            ask(server, "/metrics", Accept=f"application/openmetrics-text;version={version}")[0]
            for version in ("\x01one.2", "1.0.0.x", "9" * 5000, "", "1.0.0;version=x")
        ]
    assert new.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert new_body.endswith(b"# EOF\n")
    assert old.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for answer in odd:
        assert (answer.status, answer.headers["Content-Type"]) == (200, old.headers["Content-Type"])
    assert b'joblog_backlog_bytes{shard="0",volume="default"} 4096.0' in old_body


def test_the_page_is_whole_and_may_run_only_itself():
    """Nothing is loaded from elsewhere, no string becomes HTML, and only its own script and style run."""
    with serving(STATUS) as server:
        answer, body = ask(server, "/")
    page = body.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        inline = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        assert len(inline) == len(re.findall(rf"<{kind}", page)) == 1
        digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|https?://| on\w+=| style=", page
    )


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/api/status", "/nothing"])
def test_each_answer_has_the_security_headers(path: str):
    """No sniffing, no frames, no caching, a policy, and no word of Python or its version."""
    with serving(STATUS) as server:
        answer, _ = ask(server, path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "ython" not in answer.headers["Server"]


@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/status/", "/../etc/passwd", "/%2e%2e/"])
def test_an_unknown_path_is_one_line(path: str):
    """404, in plain text, without repeating what was asked for."""
    with serving(STATUS) as server:
        answer, body = ask(server, path)
    assert answer.status == 404
    assert body == b"not found: there is /, /healthz, /readyz, /metrics and /api/status\n"


def test_a_query_changes_nothing():
    """Probes may add one."""
    with serving(STATUS) as server:
        assert ask(server, "/healthz?verbose=1")[0].status == 200


def test_head_is_get_without_the_body():
    """The same headers, length included."""
    with serving(STATUS) as server:
        head, body = ask(server, "/readyz", "HEAD")
        get, whole = ask(server, "/readyz")
    assert body == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(whole))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"])
def test_it_only_reads(method: str):
    """Any other method is 405, in one line."""
    with serving(STATUS) as server:
        answer, body = ask(server, "/api/status", method)
    assert (answer.status, answer.headers["Allow"], body) == (405, "GET, HEAD", b"method not allowed\n")


@pytest.mark.parametrize(
    ("request_bytes", "says"),
    [
        (b"GET / HTTP/1.0\r\nX: " + b"x" * LARGEST_REQUEST_BYTES + b"\r\n\r\n", b" 431 "),
        (b"GET /" + b"x" * LARGEST_REQUEST_BYTES, b" 431 "),
        (b"GET /metrics HTTP/1.0\r\nAccept: a\r\n b\r\n\r\n", b" 400 "),
        (b"GET / HTTP/9.9\r\n\r\n", b" 505 "),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b" 400 "),
        (b"one two three four\r\n\r\n", b" 400 "),
    ],
)
def test_odd_requests_get_one_line(request_bytes: bytes, says: bytes):
    """Too large, folded headers, an unknown version, TLS: refused, and the next request is answered."""
    with serving(STATUS) as server:
        assert says in raw(server, request_bytes)
        assert ask(server, "/healthz")[0].status == 200


def test_silent_clients_are_put_off():
    """Connections that say nothing, or a byte now and then, end; others are served, and no thread is left."""
    with serving(STATUS) as server:
        start = time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)]
        assert ask(server, "/healthz")[0].status == 200
        slow = silent[0]
        with pytest.raises(OSError):  # reset or broken pipe, as the kernel likes
            while time.monotonic() < start + 3 * SLOWEST_REQUEST_SECONDS:
                slow.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - start < 2 * SLOWEST_REQUEST_SECONDS
        for connection in silent[1:]:
            assert connection.recv(1) == b""
        for connection in silent:
            connection.close()
    assert not [thread for thread in threading.enumerate() if "process_request" in thread.name]


def test_only_so_many_talk_at_once():
    """One more than the limit is put off at once, and served again when there is room."""
    with serving(STATUS) as server:
        held = [
            socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(MOST_CONNECTIONS)
        ]
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(server, "/healthz")
        for connection in held:
            connection.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert ask(server, "/healthz")[0].status == 200
                break
            except (http.client.HTTPException, ConnectionError):
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_ipv6():
    """`[::1]:0` listens on the IPv6 loopback."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    with serving(STATUS, address="[::1]:0") as server:
        assert ask(server, "/healthz", host="::1")[0].status == 200


def test_a_taken_port_is_one_clear_error():
    """The error names the address and says what to do; stop() after it is harmless."""
    with serving(STATUS) as first:
        second = WebServer(f"127.0.0.1:{first.port}", lambda: [], Metrics(), lambda: NOW)
        with pytest.raises(
            ConfigError, match=rf"127\.0\.0\.1:{first.port}: Address already in use: .*--http"
        ):
            second.start()
        second.stop()
        assert ask(first, "/healthz")[0].status == 200


@pytest.mark.parametrize(
    "address", ["8080", ":8080", "::1:8080", "[::1]", "localhost:70000", "a b:1", "x\n:1", ""]
)
def test_an_address_that_is_none_is_refused(address: str):
    """In words, on one line."""
    with pytest.raises(ConfigError, match=r"HOST:PORT") as caught:
        WebServer(address, lambda: [], Metrics(), lambda: NOW)
    assert "\n" not in str(caught.value)


def test_a_host_that_cannot_be_had_is_refused():
    """Neither an unknown name nor somebody else's address is a traceback."""
    for address in ("no-such-host.invalid:8080", "192.0.2.1:8080"):
        with pytest.raises(ConfigError, match="cannot listen on"):
            WebServer(address, lambda: [], Metrics(), lambda: NOW).start()


def test_after_stop_nobody_answers_and_the_port_is_free():
    """Twice, on the same port."""
    with serving(STATUS) as server:
        port = server.port
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with serving(STATUS, address=f"127.0.0.1:{port}") as again:
        assert ask(again, "/healthz")[0].status == 200


def test_a_bug_behind_a_path_is_a_500_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture):
    """The asker learns nothing of it; the log has the traceback; the server goes on."""

    def broken() -> list[ShardStatus]:
        raise RuntimeError("secret detail")

    server = WebServer("127.0.0.1:0", broken, Metrics(), lambda: NOW)
    server.start()
    try:
        with caplog.at_level(logging.ERROR, logger="joblog.web"):
            answer, body = ask(server, "/healthz")
            assert ask(server, "/")[0].status == 200
    finally:
        server.stop()
    assert (answer.status, body) == (500, b"internal error: see the collector's log\n")
    assert "secret detail" in caplog.text

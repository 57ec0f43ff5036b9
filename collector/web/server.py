"""The collector's HTTP server: health, metrics, status. It only reads, and knows no log text.

A stranger may talk to it, so everything is bounded: how many talk at once, how long a request takes
and how large it is. A request is read whole, answered, and the connection closed.
"""

from __future__ import annotations

import io
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

from collector import __version__
from collector.errors import ConfigError
from collector.status import ShardStatus
from collector.terminal import printable
from collector.web.address import Address
from collector.web.answers import Answer, health, one_line, readiness, status_list
from collector.web.metrics import Metrics
from collector.web.page import PAGE

MOST_CONNECTIONS = 32
LARGEST_REQUEST_BYTES = 16 * 1024
SLOWEST_REQUEST_SECONDS = 3.0
BETWEEN_ACCEPTS_SECONDS = 0.2
_STOP_WITHIN_SECONDS = 0.1
_END_OF_HEADERS = (b"\r\n\r\n", b"\n\n")

_log = logging.getLogger("joblog.web")


class WebServer:
    """Serves the shards' statuses and the metrics from threads of its own.

    `statuses` and `metrics` are called from those threads. `clock` is the wall clock, in UTC.
    """

    def __init__(
        self,
        address: str,
        statuses: Callable[[], Sequence[ShardStatus]],
        metrics: Metrics,
        clock: Callable[[], datetime],
    ) -> None:
        """Raises ConfigError for what is no `HOST:PORT`."""
        self._address = Address.parse(address)
        self._statuses = statuses
        self._metrics = metrics
        self._clock = clock
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listens from now on. Raises ConfigError where it cannot, the port being taken for one."""
        try:
            self._server = _Server(self._address, self._answer)
        except OSError as error:
            raise ConfigError(
                printable(f"http: cannot listen on {self._address}: {error.strerror or error}"),
                hint="choose another address with --http, or --http off",
            ) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_WITHIN_SECONDS,), name="http", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on; before the start the one it was given."""
        return self._server.server_port if self._server else self._address.port

    def stop(self) -> None:
        """Answers nobody any more. Harmless twice, and without a start."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    def _answer(self, path: str, accept: str) -> Answer:
        match path:
            case "/":
                return PAGE
            case "/healthz":
                return health(self._statuses())
            case "/readyz":
                return readiness(self._statuses())
            case "/api/status":
                return status_list(self._statuses())
            case "/metrics":
                return Answer(*self._metrics.render(accept, self._statuses(), self._clock()))
        return one_line(
            HTTPStatus.NOT_FOUND, "not found: there is /, /healthz, /readyz, /metrics and /api/status"
        )


class _Server(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, address: Address, answer: Callable[[str, str], Answer]) -> None:
        """Raises OSError."""
        family, _, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self.address_family = family
        self.answer = answer
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(where, _Request)  # type: ignore[arg-type]  # an IPv6 address has four parts

    def server_bind(self) -> None:
        """Without the name server, which HTTPServer asks for our own name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, object]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(BETWEEN_ACCEPTS_SECONDS)  # else, with no descriptor free, it would ask without a pause
            raise

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """One more thread, or a closed connection where there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no further thread can be had
            self._places.release()
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away or was too slow is no matter; anything else is a bug, and logged as one."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a request could not be answered")


class _Request(BaseHTTPRequestHandler):
    server: _Server
    server_version = f"joblog/{__version__}"
    sys_version = ""
    default_request_version = "HTTP/1.0"  # so that an answer always has its status and headers
    timeout = SLOWEST_REQUEST_SECONDS  # for the answer as a whole; the request has its own deadline

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(_head(self.connection))

    def handle(self) -> None:
        if len(self.rfile.getbuffer()) >= LARGEST_REQUEST_BYTES:  # type: ignore[attr-defined]  # it is a BytesIO
            self.command, self.requestline, self.request_version = "", "", self.protocol_version
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            super().handle()

    def do_GET(self) -> None:
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """One line, and what is not ours to serve is "not allowed"."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self._send(one_line(status, status.phrase.lower()))

    def log_message(self, format: str, *args: object) -> None:
        _log.debug("%s %s", self.client_address[0], printable(format % args))

    def _reply(self) -> None:
        if any("\r" in value or "\n" in value for value in self.headers.values()):
            self.send_error(HTTPStatus.BAD_REQUEST)  # a folded header could end up in an answer's
            return
        try:
            answer = self.server.answer(urlsplit(self.path).path, self.headers.get("Accept", ""))
        except Exception:
            self._send(one_line(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error: see the collector's log"))
            raise
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": answer.policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _head(connection: socket.socket) -> bytes:
    """A request up to the end of its headers, at most the largest. Raises TimeoutError for a slow one."""
    received = b""
    deadline = time.monotonic() + SLOWEST_REQUEST_SECONDS
    while len(received) < LARGEST_REQUEST_BYTES and not any(end in received for end in _END_OF_HEADERS):
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        part = connection.recv(LARGEST_REQUEST_BYTES - len(received))
        if not part:
            break
        received += part
    connection.settimeout(SLOWEST_REQUEST_SECONDS)
    return received

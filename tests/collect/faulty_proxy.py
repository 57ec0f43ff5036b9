"""An HTTP proxy between a collector and an object store: it refuses, breaks, delays and damages."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from hindering_proxy import HOP_BY_HOP, Answer, Request

Does = Callable[["Exchange"], None]

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: to close is to reset."""


@dataclass
class Fault:
    """What happens to requests of these methods whose path holds `part`, so many times (None: to all)."""

    does: Does
    methods: tuple[str, ...] = ("PUT", "GET", "HEAD", "DELETE", "POST")
    part: str = ""
    times: int | None = None
    reached: int = 0
    happened: threading.Event = field(default_factory=threading.Event)

    def wait(self, within: float = 60) -> None:
        assert self.happened.wait(within), f"no {'/'.join(self.methods)} of …{self.part}… came"


class Exchange:
    """One request and its connection."""

    def __init__(self, handler: BaseHTTPRequestHandler, upstream: str) -> None:
        self._handler, self._upstream = handler, upstream
        self.headers = dict(handler.headers)
        self.length = int(handler.headers.get("Content-Length", "0"))
        self.method, self.path = handler.command, handler.path

    def forward(self, change: Callable[[Request], Request] = lambda request: request) -> Answer:
        """The store's answer to the request, or to what `change` makes of it."""
        body = self._handler.rfile.read(self.length)
        self.length = 0
        return change(Request(self._upstream, self.method, self.path, self.headers, body)).forward()

    def say(self, status: int, code: str, message: str = "words") -> None:
        """An answer that is not the store's."""
        self._handler.rfile.read(self.length)
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.answer(Answer(status, [("Content-Type", "application/xml")], body))

    def answer(self, answer: Answer, *, most: int | None = None, piece_seconds: float = 0.0) -> None:
        """Sends an answer: only its first `most` bytes, or in four pieces with a pause before each."""
        handler = self._handler
        handler.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in HOP_BY_HOP:
                handler.send_header(name, value)
        length = (
            dict(answer.headers).get("Content-Length", "0") if self.method == "HEAD" else len(answer.body)
        )
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        if self.method == "HEAD":
            return
        body = answer.body[:most]
        step = max(1, -(-len(body) // 4)) if piece_seconds else max(1, len(body))
        for at in range(0, len(body), step):
            time.sleep(piece_seconds)
            handler.wfile.write(body[at : at + step])

    def read(self, most: int) -> None:
        """Takes a part of the request's body."""
        self._handler.rfile.read(min(most, self.length))

    def reset(self) -> None:
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._handler.close_connection = True
        # Files over the socket keep it open; shut, closed and so reset is what `finish` then finds.
        self._handler.wfile.flush()
        self._handler.rfile.close()
        self._handler.connection.close()


def refused(status: int, code: str) -> Does:
    return lambda exchange: exchange.say(status, code)


def stored_but(status: int, code: str) -> Does:
    """The store does what it was asked for, and an error comes back."""

    def does(exchange: Exchange) -> None:
        exchange.forward()
        exchange.say(status, code)

    return does


def cut_request(exchange: Exchange) -> None:
    """Resets the connection in the middle of the request's body."""
    exchange.read(exchange.length // 2)
    exchange.reset()


def cut_answer(exchange: Exchange) -> None:
    """Resets the connection in the middle of the answer's body."""
    answer = exchange.forward()
    exchange.answer(answer, most=len(answer.body) // 2)
    exchange.reset()


def slow(seconds: float) -> Does:
    """A pause before the store is asked, and the answer in pieces."""

    def does(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.answer(exchange.forward(), piece_seconds=seconds)

    return does


def damaged(*, noticed: bool) -> Does:
    """One byte of the body changes on its way. A store that compares `Content-MD5` refuses that; others store
    it.
    """

    def change(request: Request) -> Request:
        at = len(request.body) // 2
        body = request.body[:at] + bytes([request.body[at] ^ 1]) + request.body[at + 1 :]
        checks = {name for name in request.headers if "md5" in name.lower() or "checksum" in name.lower()}
        headers = {name: value for name, value in request.headers.items() if name not in checks}
        return replace(request, body=body, headers=headers)

    def does(exchange: Exchange) -> None:
        if noticed and "Content-MD5" in exchange.headers:
            exchange.say(400, "BadDigest")
        else:
            exchange.answer(exchange.forward(change))

    return does


class FaultyProxy:
    """`url` is its endpoint. It passes everything on until a fault is `add`ed; `down` refuses connections."""

    def __init__(self, upstream: str) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._handler = self._handler_for(upstream)
        self._port = 0
        self.requests: list[tuple[str, str]] = []
        self.up()
        self.url = f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self._is_up = True

    def down(self) -> None:
        """Nobody listens, and connections that are kept open break at their next request."""
        self._is_up = False
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def close(self) -> None:
        if self._is_up:
            self.down()

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._faults.remove(fault)

    def _fault(self, exchange: Exchange) -> Fault | None:
        with self._lock:
            self.requests.append((exchange.method, exchange.path))
            for fault in self._faults:
                left = fault.times is None or fault.reached < fault.times
                if left and exchange.method in fault.methods and fault.part in exchange.path:
                    fault.reached += 1
                    return fault
        return None

    def _exchange(self, exchange: Exchange) -> None:
        fault = self._fault(exchange)
        if fault is None:
            exchange.answer(exchange.forward())
            return
        try:
            fault.does(exchange)
        finally:
            fault.happened.set()

    def _handler_for(proxy, upstream: str) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, http.client.HTTPException):
                    self.close_connection = True

            def finish(self) -> None:
                if self.connection.fileno() >= 0:
                    super().finish()

            def pass_on(self) -> None:
                if not proxy._is_up:
                    self.close_connection = True
                    return
                proxy._exchange(Exchange(self, upstream))

            do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = pass_on  # noqa: N815 - named by http.server

            def log_message(self, *_: object) -> None:
                """Nothing: pytest shows what fails."""

        return Handler

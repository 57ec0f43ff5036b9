"""An HTTP proxy between a collector and an object store that stops chosen requests at chosen places."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

# Of one connection, not of the message: RFC 9110, 7.6.1. The answer to `Expect` was given here.
HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding", "content-length"}

Place = Literal["before", "after"]


@dataclass
class Trap:
    """Stops the next request `method` whose path holds `part`, before or after the store gets it.

    `reached` is set when it has it. It is held until `release`, which lets it go on, or `drop`, which
    closes the connection without an answer. `land` gives a dropped one to the store after all.
    """

    method: str
    part: str
    place: Place
    reached: threading.Event = field(default_factory=threading.Event)
    status: int = 0
    _going: threading.Event = field(default_factory=threading.Event)
    _dropped: bool = False
    _request: Request | None = None

    def catches(self, request: Request) -> bool:
        return request.method == self.method and self.part in request.path

    def wait(self, within: float = 60) -> None:
        assert self.reached.wait(within), f"no {self.method} of …{self.part}… came"

    def release(self) -> None:
        self._going.set()

    def drop(self) -> None:
        self._dropped = True
        self._going.set()

    def land(self) -> int:
        """Returns the store's answer to a request that its sender has given up."""
        assert self._request is not None
        return self._request.forward().status

    def hold(self, request: Request) -> bool:
        """Whether the request may go on."""
        self._request = request
        self.reached.set()
        self._going.wait()
        return not self._dropped


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Request:
    upstream: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def forward(self) -> Answer:
        """Host stays as the client wrote it: signatures cover it."""
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        if self.body or self.method == "PUT":
            headers["Content-Length"] = str(len(self.body))
        try:
            connection.request(self.method, self.path, self.body or None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            connection.close()


class Proxy:
    """`url` is its endpoint. It passes everything on until it is given traps, each for one request."""

    def __init__(self, upstream: str) -> None:
        self._traps: list[Trap] = []
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(upstream))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def trap(self, method: str, part: str, place: Place = "before") -> Trap:
        trap = Trap(method, part, place)
        with self._lock:
            self._traps.append(trap)
        return trap

    def refuse(self, method: str) -> None:
        """Breaks the connection of every such request from now on."""
        self._refused.add(method)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: Request) -> Answer | None:
        """What the store says; None where the connection is to break."""
        if request.method in self._refused:
            return None
        trap = self._take(request)
        if trap is None:
            return request.forward()
        if trap.place == "before":
            return request.forward() if trap.hold(request) else None
        answer = request.forward()
        trap.status = answer.status
        return answer if trap.hold(request) else None

    def _take(self, request: Request) -> Trap | None:
        with self._lock:
            found = next((trap for trap in self._traps if trap.catches(request)), None)
            if found is not None:
                self._traps.remove(found)
            return found

    def _handler(proxy, upstream: str) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except ConnectionError:  # the collector was killed
                    self.close_connection = True

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                request = Request(upstream, self.command, self.path, dict(self.headers), body)
                answer = proxy.answer(request)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                length = dict(answer.headers).get("Content-Length", "0") if self.command == "HEAD" else ""
                self.send_header("Content-Length", length or str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_HEAD = do_PUT = pass_on  # noqa: N815 - named by http.server

            def log_message(self, *_: object) -> None:
                """Nothing: pytest shows what fails."""

        return Handler

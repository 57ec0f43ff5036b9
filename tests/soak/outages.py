"""Outages of a destination, to begin and to end at will."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random
from typing import Protocol

from hindering_proxy import Answer, Proxy, Request

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
INTERNAL = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
XML = [("Content-Type", "application/xml")]


class Outages(Protocol):
    def begin(self, draw: Random) -> str:
        """Begins one, and says which."""

    def end(self) -> None: ...

    def close(self) -> None: ...


class FolderOutages:
    """A folder in which nothing can be created: permissions hold for the collector, not for root."""

    def __init__(self, root: Path) -> None:
        self._made = root / "_joblog" / "tmp"

    def begin(self, draw: Random) -> str:
        if not self._made.is_dir():
            return "none"
        self._made.chmod(0o555)
        return "denied"

    def end(self) -> None:
        if self._made.is_dir():
            self._made.chmod(0o755)

    close = end


class FaultyProxy(Proxy):
    """Between collector and object store; while an outage lasts, puts and all else fail in one way."""

    KINDS = ("refused", "hangs", "slow down", "lost answers", "error after it was stored", "flickers")

    def __init__(self, upstream: str, seed: str) -> None:
        self._kind = ""
        self._over = threading.Event()
        self._draw = Random(seed)  # noqa: S311 - which requests fail is no secret
        super().__init__(upstream)

    def begin(self, draw: Random) -> str:
        self._over = threading.Event()
        self._kind = draw.choice(self.KINDS)
        return self._kind

    def end(self) -> None:
        self._kind = ""
        self._over.set()

    def close(self) -> None:
        self.end()
        super().close()

    def answer(self, request: Request) -> Answer | None:
        kind, over = self._kind, self._over
        if kind == "flickers":
            kind = self._draw.choice(["", *self.KINDS[2:5]])
        if kind == "refused":
            return None
        if kind == "hangs":
            over.wait()
            return None
        if kind == "slow down":
            return Answer(503, XML, SLOW_DOWN)
        if kind in {"lost answers", "error after it was stored"}:
            super().answer(request)
            return None if kind == "lost answers" else Answer(500, XML, INTERNAL)
        return super().answer(request)

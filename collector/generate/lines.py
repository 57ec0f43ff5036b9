"""Log lines of four types, each with its sequence number, made in bulk.

A record is one entry of a log: one line, and for `java` now and then the lines of a stack trace
too. Record N of one `Lines` is a function of the seed, N and the time: how the caller cuts the
sequence into blocks changes no byte. The texts come from a stock of 1,000 records a type; the
sequence number and a random id, of which no two are alike, are filled in.
"""

from __future__ import annotations

import hashlib
import random
import struct
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

LogType = Literal["nginx", "java", "json", "random"]

SEEDED_START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where time starts when it is counted from the sequence number instead of read from a clock."""

_STOCK_RECORDS = 1000
_LARGE_RECORD_BYTES = 16 * 1024
_BULK_BYTES = 1 << 20
_BULK_RECORDS = 4000
_ID_BYTES = 8
_TIME = b"@time@"
_RECORD_STARTS = frozenset(b"0123456789{")
_TIME_FORMATS: dict[LogType, str] = {
    "nginx": "%d/%b/%Y:%H:%M:%S +0000",
    "java": "%Y-%m-%d %H:%M:%S.%f",
    "json": "%Y-%m-%dT%H:%M:%S.%fZ",
    "random": "%Y-%m-%dT%H:%M:%S.%fZ",
}

_PATHS = ("/api/v1/orders", "/api/v1/users/42/cart", "/healthz", "/static/app.js", "/search", "/login")
_AGENTS = (
    "curl/8.5.0",
    "kube-probe/1.31",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
)
_CLASSES = ("orders.Checkout", "orders.Stock", "billing.Invoice", "mail.Sender", "export.Nightly")
_MESSAGES = (
    "read 500 rows from the replica",
    "retrying after a timeout of the upstream",
    "wrote the partition and closed the file",
    "cache is warm",
    "skipped a row without a customer",
)
_EXCEPTIONS = ("java.lang.IllegalStateException: already closed", "java.io.IOException: Broken pipe")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Lines:
    """The records of one log. Cheap to make: the stock is shared by all logs of one type and shape."""

    def __init__(
        self, log_type: LogType, *, seed: int | str = 0, item_length: int = 100, key_count: int = 10
    ) -> None:
        self._stock, self._whole, self._filled_bytes = _stock(log_type, item_length, key_count)
        self._seed = str(seed)
        self._turn = int.from_bytes(hashlib.sha256(self._seed.encode()).digest()[:4])
        self._time_format = _TIME_FORMATS[log_type]

    @property
    def bulk(self) -> int:
        """How many records make a block of about 1 MiB."""
        return min(_BULK_RECORDS, self.count_for(_BULK_BYTES))

    def count_for(self, log_bytes: int) -> int:
        """How many records make a log of about that many bytes; at least one."""
        return max(1, log_bytes * len(self._stock) // self._filled_bytes)

    def block(self, first: int, count: int, now: datetime | None) -> bytes:
        """Records `first` to `first + count - 1`, each ending in a line feed.

        All have the time `now`; with None, each has a time that follows from its number.
        """
        pieces = []
        while count > 0:
            period, start = divmod(first + self._turn, len(self._stock))
            taken = min(count, len(self._stock) - start)
            pieces.append(self._piece(first, period, start, taken, now))
            first += taken
            count -= taken
        return b"".join(pieces)

    def _piece(self, first: int, period: int, start: int, count: int, now: datetime | None) -> bytes:
        """Records that stand side by side in the stock."""
        every = count == len(self._stock)
        template = self._whole if every else b"".join(self._stock[start : start + count])
        at = now or SEEDED_START + timedelta(seconds=period - self._turn // len(self._stock))
        values: list[object] = [None] * (2 * count)
        values[0::2] = range(first, first + count)
        values[1::2] = self._ids(period, start, count)
        filled: bytes = template % tuple(values)
        return filled.replace(_TIME, at.astimezone(UTC).strftime(self._time_format).encode())

    def _ids(self, period: int, start: int, count: int) -> tuple[bytes, ...]:
        """16 random hex digits for each record: those of one period come from one digest."""
        digest = hashlib.shake_128(f"{self._seed}/{period}".encode()).digest(_ID_BYTES * (start + count))
        width = 2 * _ID_BYTES
        return struct.unpack(f"{width}s" * count, digest[_ID_BYTES * start :].hex().encode())


def last_record_end(block: bytes | memoryview, room: int) -> int:
    """The end of the last record that ends within `room` bytes of a block of whole records; 0 if none does.

    A record starts with a digit or a brace; the further lines of a stack trace do not.
    """
    if len(block) <= room:
        return len(block)
    data = bytes(block[: room + 1])
    end = data.rfind(b"\n", 0, room) + 1
    while end and data[end] not in _RECORD_STARTS:
        end = data.rfind(b"\n", 0, end - 1) + 1
    return end


def first_record_end(block: bytes | memoryview) -> int:
    """The end of the first record of a block of whole records."""
    data = bytes(block)
    end = data.find(b"\n") + 1
    while end < len(data) and data[end] not in _RECORD_STARTS:
        end = data.find(b"\n", end) + 1
    return end


@lru_cache(maxsize=8)
def _stock(log_type: LogType, item_length: int, key_count: int) -> tuple[tuple[bytes, ...], bytes, int]:
    """The records of a type with places for (number, id); all in one; the length of that when filled."""
    draw = random.Random(f"{log_type} {item_length} {key_count}")  # noqa: S311 -- texts of a test log, no secret

    def record() -> bytes:
        if log_type == "nginx":
            return _nginx(draw).encode()
        if log_type == "java":
            return _java(draw).encode()
        items = [_item(draw, item_length) for _ in range(key_count)]
        return (_json(items) if log_type == "json" else _random(items)).encode()

    first = record()
    further = 0 if len(first) > _LARGE_RECORD_BYTES else _STOCK_RECORDS - 1
    records = (first, *(record() for _ in range(further)))
    whole = b"".join(records)
    filled: bytes = whole % ((1, bytes(2 * _ID_BYTES)) * len(records))
    return records, whole, len(filled.replace(_TIME, SEEDED_START.isoformat().encode()))


def _nginx(draw: random.Random) -> str:
    address = ".".join(str(draw.randrange(1, 255)) for _ in range(4))
    status = draw.choice((200, 200, 200, 200, 204, 301, 404, 500))
    request = f"{draw.choice(('GET', 'GET', 'POST'))} {draw.choice(_PATHS)}?seq=%09d&id=%b HTTP/1.1"
    took = draw.expovariate(20)
    return (
        f'{address} - - [{_TIME.decode()}] "{request}" {status} {draw.randrange(100, 90_000)} '
        f'"https://shop.example/" "{draw.choice(_AGENTS)}" {took:.3f}\n'
    )


def _java(draw: random.Random) -> str:
    level = draw.choice(("INFO ", "INFO ", "INFO ", "DEBUG", "WARN "))
    name = f"com.example.{draw.choice(_CLASSES)}"
    thread = f"worker-{draw.randrange(16)}"
    if draw.random() < 0.04:
        return f"{_TIME.decode()} ERROR [{thread}] {name} - seq=%09d id=%b failed\n{_trace(draw)}"
    return f"{_TIME.decode()} {level} [{thread}] {name} - seq=%09d id=%b {draw.choice(_MESSAGES)}\n"


def _trace(draw: random.Random) -> str:
    def frames(count: int) -> str:
        return "".join(
            f"\tat com.example.{name}.run({name.split('.')[1]}.java:{draw.randrange(20, 400)})\n"
            for name in draw.choices(_CLASSES, k=count)
        )

    first, second = draw.sample(_EXCEPTIONS, 2)
    cause = f"Caused by: {second}\n{frames(2)}\t... 7 more\n" if draw.random() < 0.5 else ""
    return f"{first}\n{frames(draw.randrange(3, 9))}{cause}"


def _item(draw: random.Random, length: int) -> str:
    return "".join(draw.choices(_LETTERS, k=length))


def _json(items: list[str]) -> str:
    further = "".join(f',"key_{number}":"{item}"' for number, item in enumerate(items))
    return f'{{"time":"{_TIME.decode()}","seq":%d,"id":"%b"{further}}}\n'


def _random(items: list[str]) -> str:
    further = "".join(f" key_{number}={item}" for number, item in enumerate(items))
    return f"{_TIME.decode()} seq=%09d id=%b{further}\n"

"""Lines → typed columns → Parquet: MB of lines per second of CPU time, for each way to parse.

    python bench/parse.py [MIB]

What is timed is what the encoder's thread does with rows that were framed: parse, columns, Parquet with
zstd-1. `parse only` is the first of these. Lines come from a fixed seed, about 190 bytes each.
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from collector.model import BatchSettings, DelimiterSettings, FileId, Origin, ParseSettings, TimeSettings
from collector.rows.encode import Part, encoder
from collector.rows.parse.parser import Parser

SEED = 20261122
ARENA_BYTES = 12 << 20
REPEATS = 3

ACCESS = (
    r'(?P<ip>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) '
    r'(?P<protocol>[^"]+)" (?P<status>\d+) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
GENERAL = (
    r'^(?P<ip>[^ ]*) (?P<ident>[^ ]*) (?P<user>[^ ]*) \[(?P<at>[^\]]*)\] "(?P<method>\S+)(?: +'
    r'(?P<url>[^ ]*) +(?P<protocol>\S*))?" (?P<status>[^ ]*) (?P<size>[^ ]*)'
    r'(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")?.*$'
)
NAMES = ("ip", "ident", "user", "at", "method", "url", "protocol", "status", "size", "referer", "agent")
STRPTIME = "%d/%b/%Y:%H:%M:%S %z"
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "curl/8.9.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
)


@dataclass(frozen=True)
class Request:
    """What one line of each kind is written from."""

    values: tuple[str, ...]

    def access(self) -> str:
        ip, ident, user, at, method, url, protocol, status, size, referer, agent = self.values
        return f'{ip} {ident} {user} [{at}] "{method} {url} {protocol}" {status} {size} "{referer}" "{agent}"'

    def json(self) -> str:
        members = dict(zip(NAMES, self.values, strict=True))
        members |= {"status": int(members["status"]), "size": int(members["size"])}
        return json.dumps(members, separators=(",", ":"))

    def delimited(self) -> str:
        return "\t".join(self.values)


def requests(count: int) -> Iterator[Request]:
    chance = random.Random(SEED)  # noqa: S311 - lines for a benchmark
    for number in range(count):
        at = f"23/Nov/2026:{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02} +0000"
        ip = ".".join(str(chance.randrange(256)) for _ in range(4))
        item, page, key = chance.randrange(10**6), chance.randrange(100), chance.getrandbits(64)
        url = f"/api/v1/items/{item}?page={page}&id={key:016x}"
        status, size = chance.choice(("200", "200", "200", "304", "404")), str(chance.randrange(50_000))
        fixed = ("GET", url, "HTTP/1.1", status, size, "https://shop.example/", chance.choice(AGENTS))
        yield Request((ip, "-", "-", at, *fixed))


def message(lines: list[str]) -> pa.StringArray:
    return pa.array(lines, pa.string())


def part(text: pa.StringArray) -> Part:
    """The rows of one arena, as framing leaves them."""
    lengths = np.asarray(pa.compute.binary_length(text)) + 1
    offset = np.cumsum(lengths) - lengths
    file = (FileId("shop_mill-1", "app.log", 0), Origin("shop_mill-1", True, "shop", "mill", "mill-1"))
    return Part(
        files=(file,),
        starts=(0,),
        ends=(int(lengths.sum()),),
        counts=np.array([len(text)]),
        offset=offset,
        message=text,
        raw=None,
        eol=np.ones(len(text), np.bool_),
        observed_us=1_795_340_016_438_866,
        contents=(),
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of a few repetitions, user and system time of all threads."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    taken = []
    for _ in range(REPEATS):
        began = used()
        work()
        taken.append(used() - began)
    return min(taken)


def to_parquet(settings: ParseSettings | None, parts: list[Part]) -> int:
    """The size of the object."""
    made = encoder(BatchSettings("subpath", "parquet", "zstd", 1 << 20, parse=settings), ())
    for each in parts:
        made.write([each])
    return len(made.finish([]))


def settings_of(**more: object) -> ParseSettings:
    kinds = {"status": "int64", "size": "int64"}
    columns = tuple((name, kinds.get(name, "string")) for name in NAMES)
    return ParseSettings(columns, **more)  # type: ignore[arg-type]


def cases() -> dict[str, tuple[str, ParseSettings | None]]:
    """The kind of lines and how they are parsed, by the name of the case."""
    lean = {"keep_message": False}
    at = TimeSettings("at", STRPTIME)
    return {
        "no parse": ("access", None),
        "regex, vectorised, without message": ("access", settings_of(regex=ACCESS, **lean)),
        "the same, with the line": ("access", settings_of(regex=ACCESS)),
        "the same, with line and time": ("access", settings_of(regex=ACCESS, time=at)),
        "regex by re, without message": ("access", settings_of(regex=GENERAL, **lean)),
        "JSON lines, without message": ("json", settings_of(json=True, **lean)),
        "JSON lines, with the line": ("json", settings_of(json=True)),
        "delimited, without message": (
            "delimited",
            settings_of(delimiter=DelimiterSettings("\t", tuple(NAMES)), **lean),
        ),
    }


def arenas(kind: str, mib: int) -> list[Part]:
    every = [getattr(each, kind)() for each in requests((mib << 20) // 190)]
    rows = ARENA_BYTES // 190
    return [part(message(every[at : at + rows])) for at in range(0, len(every), rows)]


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 48
    data = {kind: arenas(kind, mib) for kind in ("access", "json", "delimited")}
    print(f"{'case':40} {'MB/CPU s':>9} {'parse only':>11} {'bytes out':>10}")  # noqa: T201 - its output
    for name, (kind, settings) in cases().items():
        parts = data[kind]
        size = sum(each.bytes for each in parts)
        out = to_parquet(settings, parts)
        whole = size / cpu_seconds(lambda: to_parquet(settings, parts)) / 1e6  # noqa: B023 - called here
        alone = "-"
        if settings:
            parser = Parser(replace(settings, keep_message=True))
            taken = cpu_seconds(lambda: [parser.parse(each.message) for each in parts])  # noqa: B023 - called here
            alone = f"{size / taken / 1e6:.0f}"
        print(f"{name:40} {whole:9.0f} {alone:>11} {out:10}")  # noqa: T201 - its output


if __name__ == "__main__":
    main()

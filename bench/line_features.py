"""The cases in which lines are decoded, joined, parsed or redacted: one file to Parquet, each row checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from bench import data, exact
from bench.result import Result
from bench.workbench import Bench, collect

GROUPS = ("ip", "user", "at", "method", "url", "protocol", "status", "size", "referer", "agent")
COLUMNS = tuple((name, "int64" if name in ("status", "size") else "string") for name in GROUPS)
CHAIN = (
    r'(?P<ip>\S+) \S+ (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<method>\S+) (?P<url>\S+) (?P<protocol>[^"]+)" '
    r'(?P<status>\d+) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)"'
)
OPTIONAL = (
    r'^(?P<ip>[^ ]*) [^ ]* (?P<user>[^ ]*) \[(?P<at>[^\]]*)\] "(?P<method>\S+)(?: +(?P<url>[^ ]*) +'
    r'(?P<protocol>\S*))?" (?P<status>[^ ]*) (?P<size>[^ ]*)(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")?.*$'
)
"""With optional groups, as other collectors' examples have it."""
ALTERNATIVES = CHAIN.replace(r"(?P<size>\d+)", r"(?P<size>\d+|-)")
"""As access logs have it where nothing was sent."""
GENERAL = CHAIN.replace(r"(?P<size>\d+)", r"(?P<size>\d+(?= )|-)")
"""With a look ahead: only what stands before it is a chain."""
LOOKING = rf"(?=\S){CHAIN}"
"""Nothing of it is."""
JSON_COLUMNS = (
    *(("ip", "string"), ("method", "string"), ("url", "string"), ("protocol", "string")),
    *(("status", "int64"), ("size", "int64"), ("agent", "string"), ("took", "float64")),
)
START = r"\d{4}-\d\d-\d\d"
KEYS, ADDRESSES = r"AKIA[0-9A-Z]{16}", r"\d+\.\d+\.\d+\.\d+"
"""What hardly any line has, and what each one begins with."""
CRI_LINE = re.compile(rb"(?m)^\S+ std(?:out|err) ([FP]) ([^\n]*)\n")


def cri(bench: Bench) -> Iterator[Result]:
    """The kubelet's tree: headers become columns, parts are joined."""
    for kind, name, size in (
        ("cri:varied", "CRI, varied lines", bench.large_bytes),
        ("cri:access", "CRI, access lines", bench.large_bytes),
        ("cri-partial:varied", "CRI, varied lines, a tenth in two parts", bench.large_bytes // 4),
    ):
        volume = data.one_file(bench.folder, kind, size)
        yield collect(bench, name, volume, how={"layout": "kubelet"}, check=exact.text(_payload))


def multiline(bench: Bench) -> Iterator[Result]:
    """A record is a row: Java traces."""
    volume = data.one_file(bench.folder, "java", bench.large_bytes)
    yield collect(bench, "java lines", volume, check=exact.text())
    how = {"multiline": {"start": f"^{START}"}}
    yield collect(bench, "multi-line (java traces)", volume, how=how, check=exact.text(starts=START))


def regex(bench: Bench) -> Iterator[Result]:
    """Ten groups, two of them numbers: as a chain of scans, as far as there is one, and by `re` alone."""
    for kind in ("varied", "access"):
        fields = exact.fields(exact.of_pattern(CHAIN, list(GROUPS)), COLUMNS)
        patterns = {"vectorised": CHAIN}
        if kind == "varied":
            patterns |= {"optional groups": OPTIONAL, "alternatives": ALTERNATIVES}
            patterns |= {"not vectorised": GENERAL, "row by row": LOOKING}
        for name, pattern in patterns.items():
            how = {"regex": pattern, "types": {"status": "int64", "size": "int64"}}
            yield from _parsed(bench, f"regex, {name}, {kind} lines", kind, how, fields)


def json_lines(bench: Bench) -> Iterator[Result]:
    """Members become typed columns."""
    fields = exact.fields(exact.of_json([name for name, _ in JSON_COLUMNS]), JSON_COLUMNS)
    how = {"json": True, "types": dict(JSON_COLUMNS)}
    yield from _parsed(bench, "JSON lines", "json", how, fields)


def _parsed(
    bench: Bench, name: str, kind: str, how: dict[str, Any], fields: Callable[..., bool]
) -> Iterator[Result]:
    """Without the original line and with it."""
    volume = data.one_file(bench.folder, kind, bench.large_bytes)
    lean = {"parse": {**how, "keep_message": False}}
    yield collect(bench, name, volume, how=lean, check=exact.both(fields, exact.no_message))
    check = exact.both(fields, exact.text())
    yield collect(bench, f"{name}, line kept", volume, how={"parse": how}, check=check)


def redaction(bench: Bench) -> Iterator[Result]:
    """A pattern that hardly matches, and one that matches each line."""
    volume = data.one_file(bench.folder, "varied", bench.large_bytes // 4)
    for name, pattern in (("a key in no line", KEYS), ("an address in each line", ADDRESSES)):
        how = {"redact": [{"pattern": pattern, "with": "[gone]"}]}
        check = exact.text(_redacting(pattern))
        yield collect(bench, f"redaction, {name}", volume, how=how, check=check)


def quick(bench: Bench) -> Iterator[Result]:
    """One case of each kind of work."""
    volume = data.one_file(bench.folder, "varied", bench.large_bytes // 4)
    how = {"parse": {"regex": CHAIN, "types": {"status": "int64", "size": "int64"}}}
    yield collect(bench, "regex, vectorised", volume, how=how, check=exact.text())
    volume = data.one_file(bench.folder, "cri:varied", bench.large_bytes // 4)
    yield collect(bench, "CRI", volume, how={"layout": "kubelet"}, check=exact.text(_payload))


def _redacting(pattern: str) -> Callable[[bytes], bytes]:
    found = re.compile(pattern.encode())
    return lambda block: found.sub(b"[gone]", block)


def _payload(block: bytes) -> bytes:
    """What containers wrote: here the parts of a line stand one after the other."""
    return CRI_LINE.sub(lambda line: line[2] + (b"\n" if line[1] == b"F" else b""), block)

"""A collector of volumes whose lines are parsed, joined, decoded and redacted, and what it must export.

What is wanted is told from the files alone, with none of the collector's code: where rows begin and end may
depend on when they were read (a record or a partial line that waited too long is broken off), but what all
rows of a file say, one after the other, does not.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from collector_process import Ended, Site, verify
from exported import keys, objects
from featured_writer import SECRET

REDACTED = "[key]"
SETTINGS: dict[str, dict[str, Any]] = {
    "parse": {
        "parse": {
            "regex": r"^(?P<who>\S+) (?P<number>\d{8}) (?P<status>\d+) (?P<rest>.*)$",
            "types": {"status": "int64"},
            "keep_message": False,
        },
    },
    "multiline": {"multiline": {"start": r"^\d{4}-\d\d-\d\d", "timeout": "100ms"}},
    "cri": {
        "layout": "kubelet",
        "parse": {
            "json": True,
            "types": {"n": "int64", "name": "string", "text": "string"},
            "keep_message": False,
        },
    },
}
"""Of the volume of each feature."""
START = re.compile(r"^\d{4}-\d\d-\d\d")
CRI_LINE = re.compile(rb"\S+ (stdout|stderr) ([FP]) ([^\n]*)\n")

Stream = tuple[str, str, str]
"""Volume, source, and stream (empty where there is none)."""


@dataclass(frozen=True)
class FeaturedSite(Site):
    """`volume` is the folder of all volumes; `features` are those that are collected."""

    features: tuple[str, ...] = tuple(SETTINGS)

    def arguments(self, *options: str) -> list[str]:
        redact = [{"pattern": "AKIA[0-9A-Z]{16}", "with": REDACTED}]
        volumes = [
            {"path": str(self.volume / name), "name": name, "redact": redact, **SETTINGS[name]}
            for name in self.features
        ]
        config = self.state.with_name(f"{self.state.name}.yaml")  # JSON is YAML
        settings = {"volumes": volumes, "to": self.to, "state": str(self.state)}
        if not config.exists():
            config.write_text(json.dumps(settings))
        where = ["--config", str(config), "--http", "off", "--log-format", "json"]
        return ["run", *where, *self.options, *options]

    def verify(self) -> Ended:
        """Of the first volume that proves a difference; else of the last."""
        for name in self.features:
            layout = ("--layout", SETTINGS[name].get("layout", "subpath"))
            where = ("--volume", str(self.volume / name), "--name", name)
            proof = verify("--to", self.to, *where, *layout)
            if proof.code:
                break
        return proof


def assert_each_line_once(site: FeaturedSite) -> int:
    """What the rows of each file and stream say is what is in it, redacted; no place is there twice.
    Returns the number of rows.
    """
    rows = exported(site)
    assert SECRET not in repr(rows)
    places = Counter(
        (row["volume"], row["source"], row["path"], row["generation"], row["offset"]) for row in rows
    )
    twice = [place for place, count in places.items() if count > 1]
    assert not twice, f"{len(twice)} places are there twice, such as {twice[:3]}"
    got, want = delivered(rows), written(site)
    assert got.keys() == want.keys()
    for stream in want:
        missing, further = want[stream] - got[stream], got[stream] - want[stream]
        assert not missing, f"{stream}: missing {_shown(missing)}; there is {_shown(further)}"
        assert not further, f"{stream}: never written: {_shown(further)}"
    for row in rows:
        if row["volume"] == "multiline":
            assert not any(map(START.match, row["message"].split("\n")[1:])), row
    return len(rows)


def exported(site: FeaturedSite) -> list[dict[str, Any]]:
    """All rows of all Parquet objects, each with its volume."""
    return [
        row | {"volume": key.rpartition("/")[2].split("-")[0]}
        for key, body in objects(site.to, "data/").items()
        for row in pq.ParquetFile(io.BytesIO(body)).read().to_pylist()
    ]


def delivered(rows: Iterable[dict[str, Any]]) -> dict[Stream, Counter[bytes]]:
    """What rows of one file and stream say in the order of their offsets; by source, since rotated files
    keep the path under which they were seen first.
    """
    files: dict[tuple[Stream, str, int], list[tuple[int, bytes]]] = defaultdict(list)
    for row in rows:
        stream = row["volume"], row["source"], row["stream"] or ""
        files[stream, row["path"], row["generation"]].append((row["offset"], said(row)))
    found: dict[Stream, Counter[bytes]] = defaultdict(Counter)
    for (stream, _, _), pieces in files.items():
        found[stream][b"".join(piece for _, piece in sorted(pieces))] += 1
    return found


def said(row: dict[str, Any]) -> bytes:
    """The line, made again of its fields where it was not kept."""
    if row["raw"] is not None:
        text = row["raw"]
    elif row["message"] is not None:
        text = row["message"].encode()
    elif row["volume"] == "parse":
        text = f"{row['who']} {row['number']} {row['status']} {row['rest']}".encode()
    else:
        members = {name: row[name] for name in ("n", "name", "text")}
        text = json.dumps(members, ensure_ascii=False).encode()
    return text + b"\n" * row["eol"]


def written(site: FeaturedSite) -> dict[Stream, Counter[bytes]]:
    """What the files say, by stream, with secrets replaced."""
    found: dict[Stream, Counter[bytes]] = defaultdict(Counter)
    for volume in site.features:
        for path in (site.volume / volume).rglob("*log*"):
            source = path.relative_to(site.volume / volume).parts[0]
            content = path.read_bytes().replace(SECRET.encode(), REDACTED.encode())
            for stream, said_there in (_streams(content) if volume == "cri" else {"": content}).items():
                if said_there:
                    found[volume, source, stream][said_there] += 1
    return found


def _streams(content: bytes) -> dict[str, bytes]:
    streams = {"stdout": b"", "stderr": b""}
    lines = CRI_LINE.findall(content)
    assert sum(len(line[2]) for line in lines) < len(content) or not content
    for stream, tag, part in lines:
        streams[stream.decode()] += part + (b"\n" if tag == b"F" else b"")
    return streams


def _shown(some: Counter[bytes]) -> list[bytes]:
    return [each[-300:] for each in list(some)[:2]]


def records(site: Site) -> int:
    """How many commit records there are, of all volumes."""
    return len([key for key in keys(site.to, "_joblog/commits/") if key.endswith(".json")])


def receipts(site: Site) -> int:
    return len(keys(site.to, "_joblog/receipts/"))


def sources(site: FeaturedSite) -> int:
    return sum(len(list((site.volume / name).iterdir())) for name in site.features)


def folder(tmp_path: Path) -> Path:
    root = tmp_path / "volumes"
    for name in SETTINGS:
        (root / name).mkdir(parents=True)
    return root

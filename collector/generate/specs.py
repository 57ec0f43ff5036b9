"""Which Jobs to play: realistic names and addresses, and the kinds of Jobs that are hard to collect."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from collector.generate.lines import LogType
from collector.value import value

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of these is the random end of a Pod's name made."""
SUFFIX_LENGTH = 5

Kind = Literal["plain", "instant", "bursty", "indexed", "cron", "dying"]
KINDS: tuple[Kind, ...] = ("plain", "instant", "bursty", "indexed", "cron", "dying", "plain", "plain")
PLAIN: tuple[Kind, ...] = ("plain",)

KILLED = 137
_NAMESPACES = ("billing", "data", "ml-training", "shop")
_NAMES = ("export", "import-orders", "invoice-run", "reindex", "report", "resize-images", "train", "vacuum")
_POD_NETWORK_4 = IPv4Address("10.244.0.2")
_POD_NETWORK_6 = IPv6Address("fd00:10:244::2")
_NODES = 5


@value
class JobSpec:
    """One Job with one Pod, and how it writes.

    `lines` counts records (a stack trace belongs to its record), `rate` is records a second (0: as fast
    as possible), written `burst` at a time. `instant` Jobs write all at once, whatever the rate.
    Of one that `dies_mid_line` the last line is cut in its middle. `index` is that of an
    indexed Job. `files` are names below the source, written in turn.
    """

    namespace: str
    job: str
    pod: str
    lines: int
    log_type: LogType = "nginx"
    rate: float = 0
    burst: int = 1
    dies_mid_line: bool = False
    instant: bool = False
    index: int | None = None
    exit_code: int = 0
    files: tuple[str, ...] = ("app.log",)
    container: str = "main"
    pod_ip: str = "10.244.0.10"
    node_ip: str = "192.168.1.10"
    node: str = "node-1"
    uid: str = "00000000-0000-4000-8000-000000000000"
    seed: int | str = 0
    item_length: int = 100
    key_count: int = 10


def specs(
    count: int,
    *,
    seed: int = 0,
    now: datetime,
    lines: int = 200,
    rate: float = 0,
    log_type: LogType = "nginx",
    kinds: Sequence[Kind] = KINDS,
) -> list[JobSpec]:
    """`count` Jobs of the kinds in turn: the first of each kind, the second of each, and so on.

    `now` gives CronJobs their times. The same arguments give the same Jobs.
    """
    draw = random.Random(f"jobs {seed}")  # noqa: S311 -- names of test Jobs, no secret
    made = []
    for number in range(count):
        plain = replace(_plain(draw, number, seed), lines=lines, rate=rate, log_type=log_type)
        made.append(_made(kinds[number % len(kinds)], plain, number // len(kinds), now))
    return made


def _plain(draw: random.Random, number: int, seed: int) -> JobSpec:
    """A Job of its own, its Pod on one of a few nodes; one node in five has IPv6 addresses."""
    job = f"{draw.choice(_NAMES)}-{number:05d}"
    node = draw.randrange(_NODES)
    six = node == _NODES - 1
    return JobSpec(
        namespace=draw.choice(_NAMESPACES),
        job=job,
        pod=f"{job}-{_suffix(draw)}",
        lines=0,
        pod_ip=str(_POD_NETWORK_6 + number if six else _POD_NETWORK_4 + number),
        node_ip=f"fd00:168::{node + 10:x}" if six else f"192.168.1.{node + 10}",
        node=f"node-{node + 1}",
        uid=_uid(draw),
        seed=f"{seed}/{number}",
    )


def _made(kind: Kind, plain: JobSpec, turn: int, now: datetime) -> JobSpec:
    suffix = plain.pod[-SUFFIX_LENGTH:]
    match kind:
        case "plain":
            return plain
        case "instant":
            return replace(plain, instant=True, lines=min(plain.lines, 3))
        case "bursty":
            return replace(plain, burst=max(1, plain.lines // 4))
        case "indexed":
            pod = f"shards-{turn}-{suffix}"
            return replace(plain, namespace="ml-training", job="shards", pod=pod, index=turn)
        case "cron":
            minutes = int(now.timestamp()) // 60 - turn
            name = f"nightly-{minutes:08d}"
            return replace(plain, namespace="billing", job=name, pod=f"{name}-{suffix}")
        case "dying":
            return replace(plain, dies_mid_line=True, exit_code=KILLED)


def _suffix(draw: random.Random) -> str:
    return "".join(draw.choices(SUFFIX_LETTERS, k=SUFFIX_LENGTH))


def _uid(draw: random.Random) -> str:
    digits = f"{draw.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

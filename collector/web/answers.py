"""What each path answers, as values: no sockets here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus

from collector.json_text import encoded
from collector.status import ShardStatus
from collector.value import value

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@value
class Answer:
    """`policy` is the Content-Security-Policy; by default nothing may load or run."""

    body: bytes
    content_type: str
    status: HTTPStatus = HTTPStatus.OK
    policy: str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def one_line(status: HTTPStatus, text: str) -> Answer:
    return Answer(f"{text}\n".encode(), TEXT, status)


def health(statuses: Sequence[ShardStatus]) -> Answer:
    """500 once a shard has failed: only a new start helps. What may pass by itself is no matter of health."""
    failed = [_why(status) for status in statuses if status.state == "failed"]
    body = {"healthy": not failed, "reasons": failed}
    return _json(body, HTTPStatus.INTERNAL_SERVER_ERROR if failed else HTTPStatus.OK)


def readiness(statuses: Sequence[ShardStatus]) -> Answer:
    """200 while every shard collects and can reach its volume and destination."""
    reasons = [_why(status) for status in statuses if not _is_ready(status)]
    if not statuses:
        reasons = ["starting: there is no shard yet"]
    body = {"ready": not reasons, "reasons": reasons}
    return _json(body, HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK)


def status_list(statuses: Sequence[ShardStatus]) -> Answer:
    return Answer(encoded(list(statuses)), JSON)


def _is_ready(status: ShardStatus) -> bool:
    return status.ready and status.state == "collecting"


def _why(status: ShardStatus) -> str:
    return f"volume {status.volume}, shard {status.shard}: {status.reason or status.state}"


def _json(body: object, status: HTTPStatus) -> Answer:
    return Answer(json.dumps(body).encode() + b"\n", JSON, status)

"""One line of `checkpoint.jsonl` that says what is known of a source, and how it is kept small.

Nearly all lines are as `encode_source` writes them, in plain ASCII and without losses: those are told by one
pattern. What many sources have in common, such as the objects and the node, is kept once for all of them.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import cast, get_args

from collector.json_text import decoded
from collector.model import FinishedBy, Origin, SourceCheckpoint
from collector.state.codec import decode_source

_TEXT = rb'"[ !#-\[\]-~]*"'
_NUMBER = rb"(0|[1-9][0-9]{0,9})"
_TRUTH = rb"(true|false)"
_OR_NULL = rb"(?:null|(%b))"
_SOME = _OR_NULL % _TEXT
_TIME = _OR_NULL % rb'"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{6})?Z"'
_BY = _OR_NULL % (b'"(?:%b)"' % "|".join(get_args(FinishedBy)).encode())
_FIELD = rb"\[%b,(?:null|%b)\]" % (_TEXT, _TEXT)
_FIELDS = rb"(\[(?:%b(?:,%b)*)?\])" % (_FIELD, _FIELD)
_KEYS = rb"(\[(?:%b(?:,%b)*)?\])" % (_TEXT, _TEXT)
_NAMES = (b"namespace", b"job", b"pod", b"container", b"pod_ip", b"node_ip", b"node", b"cronjob")
_PLAIN = re.compile(
    rb'\{"kind":"source","source":(%b),"origin":\{"source":(%b),"matched":' % (_TEXT, _TEXT)
    + _TRUTH
    + b"".join(b',"%b":%b' % (name, _SOME) for name in _NAMES)
    + b',"scheduled_at":%b,"fields":%b' % (_TIME, _FIELDS)
    + rb'\},"objects":%b,"losses":\[\],"first_observed_at":%b,"last_observed_at":%b' % (_KEYS, _TIME, _TIME)
    + b',"revision":%b,"finished_by":%b,"tombstone":%b,"retired":%b' % (_NUMBER, _BY, _SOME, _TRUTH)
    + b',"generation_floor":%b,"receipted_at":%b' % (_NUMBER, _TIME)
    + rb',"crc":"[0-9a-f]{8}"\}\n'
)


class SourceLines:
    """Reads the lines of one checkpoint."""

    def __init__(self) -> None:
        self._texts: dict[bytes | None, str | None] = {None: None}
        self._times: dict[bytes | None, datetime | None] = {None: None}
        self._fields: dict[bytes, tuple[tuple[str, str | None], ...]] = {b"[]": ()}
        self._keys: dict[bytes, tuple[str, ...]] = {b"[]": ()}

    def decode(self, line: bytes, place: str) -> SourceCheckpoint:
        """Of a line whose checksum is right. Raises StateDamaged with `place`."""
        found = _PLAIN.fullmatch(line)
        try:
            return decode_source(line, place) if found is None else self._plain(found)
        except ValueError:  # a time that is none
            return decode_source(line, place)

    def _plain(self, found: re.Match[bytes]) -> SourceCheckpoint:
        name, named, matched, *origin = found.groups()[:13]
        objects, first, last, revision, by, tombstone, retired, floor, receipted = found.groups()[13:]
        source = _text(name)
        return SourceCheckpoint(
            source=source,
            origin=self._origin(source if named == name else _text(named), matched, *origin),
            objects=self._objects(objects),
            losses=(),
            first_observed_at=self._time(first),
            last_observed_at=self._time(last),
            revision=int(revision),
            finished_by=cast("FinishedBy | None", self._shared(by)),
            tombstone=self._shared(tombstone),
            retired=retired == b"true",
            generation_floor=int(floor),
            receipted_at=self._time(receipted),
        )

    def _origin(self, source: str, matched: bytes, *rest: bytes) -> Origin:
        namespace, job, pod, container, pod_ip, node_ip, node, cronjob, scheduled_at, fields = rest
        pod_text = None if pod is None else _text(pod)
        return Origin(
            source=source,
            matched=matched == b"true",
            namespace=self._shared(namespace),
            job=pod_text if job == pod else self._shared(job),
            pod=pod_text,
            container=self._shared(container),
            pod_ip=self._shared(pod_ip),
            node_ip=self._shared(node_ip),
            node=self._shared(node),
            cronjob=self._shared(cronjob),
            scheduled_at=self._time(scheduled_at),
            fields=self._further(fields),
        )

    def _shared(self, quoted: bytes | None) -> str | None:
        try:
            return self._texts[quoted]
        except KeyError:
            assert quoted is not None  # noqa: S101 - None is always there
            return self._texts.setdefault(quoted, _text(quoted))

    def _time(self, quoted: bytes | None) -> datetime | None:
        try:
            return self._times[quoted]
        except KeyError:
            assert quoted is not None  # noqa: S101 - see above
            return self._times.setdefault(quoted, datetime.fromisoformat(_text(quoted)))

    def _further(self, fields: bytes) -> tuple[tuple[str, str | None], ...]:
        known = self._fields.get(fields)
        if known is None:
            known = self._fields[fields] = decoded(tuple[tuple[str, str | None], ...], fields)
        return known

    def _objects(self, keys: bytes) -> tuple[str, ...]:
        known = self._keys.get(keys)
        if known is None:
            quoted = (b'"%b"' % key for key in keys[2:-2].split(b'","'))
            known = self._keys[keys] = tuple(str(self._shared(key)) for key in quoted)
        return known


def _text(quoted: bytes) -> str:
    return quoted[1:-1].decode("ascii")

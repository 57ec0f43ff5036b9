"""Names on a volume: how they are written down, which are valid, and what a Pod's name says of its Job."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from urllib.parse import unquote_to_bytes

from collector.value import value

# A fixed list and no Unicode category: categories differ between versions of Python, and a file's
# encoded name is its identity for ever. C0, "%", DEL and C1; marks that turn or isolate the
# direction of text; line and paragraph separators; the byte order mark; bytes that are not UTF-8
# (which surrogateescape shows as U+DC80 to U+DCFF).
_UNSAFE = re.compile(r"[\x00-\x1f%\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]")


def encode_name(raw: str) -> str:
    """`raw`, as `os.fsdecode` gives it, as printable and valid UTF-8; "/" is left alone."""
    if raw.isascii() and raw.isprintable() and "%" not in raw:
        return raw  # what nearly all names are
    text = os.fsencode(raw).decode("utf-8", "surrogateescape")  # the same text in any locale
    return _UNSAFE.sub(_percent, text)


def _percent(unsafe: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in unsafe[0].encode("utf-8", "surrogateescape"))


def decode_name(text: str) -> str:
    """The inverse of `encode_name`: the raw name, as the functions of `os` take it."""
    if text.isascii() and "%" not in text:
        return text  # what nearly all names are
    return os.fsdecode(unquote_to_bytes(text.encode("utf-8", "surrogateescape")))


_SUFFIX = "[bcdfghjklmnpqrstvwxz2456789]{5}"  # k8s.io/apimachinery/pkg/util/rand
_GENERATED = re.compile(rf"(.+)-{_SUFFIX}", re.DOTALL)
_RUN = re.compile(r"(?P<cronjob>.+)-(?P<minutes>[0-9]{8})(?:-[0-9]{1,6})?", re.DOTALL)

# The API server cuts a generateName at 58 characters and adds five, so a Pod whose Job's name is
# longer than 57 has exactly 63 characters, and often no "-" before the suffix. A CronJob's name
# ends at 52, so at least five digits of its run's time are left.
_CUT_LENGTH = 63
_CUT = re.compile(rf"(.{{58}}){_SUFFIX}", re.DOTALL)
_CUT_RUN = re.compile(r"(?P<cronjob>.+)-(?P<minutes>[0-9]{5,7})(?:-[0-9]{1,6})?", re.DOTALL)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_FIRST_RUN = (datetime(2014, 1, 1, tzinfo=UTC) - _EPOCH) // _MINUTE  # before the first Kubernetes
_LAST_RUN = (datetime(2100, 1, 1, tzinfo=UTC) - _EPOCH) // _MINUTE


def job_of(pod: str) -> tuple[str, str | None, datetime | None]:
    """What a Pod's name tells: its Job, and the CronJob and scheduled time of that Job.

    A name without a random suffix is its own Job. Where Kubernetes cut a long name, the Job is what
    is left of its name, and the time is None unless all its digits are left.
    """
    generated = _GENERATED.fullmatch(pod) or (_CUT.fullmatch(pod) if len(pod) == _CUT_LENGTH else None)
    if generated is None:
        return pod, *schedule_of(pod)
    job = generated[1]
    cronjob, scheduled_at = schedule_of(job)
    if cronjob is None and len(pod) == _CUT_LENGTH:
        cronjob = _cronjob_of_cut(job)
    return job, cronjob, scheduled_at


def schedule_of(job: str) -> tuple[str | None, datetime | None]:
    """CronJob and scheduled time of a Job named `<cronjob>-<minutes since the epoch>[-<index>]`."""
    run = _RUN.fullmatch(job)
    if run is None or not _FIRST_RUN <= int(run["minutes"]) < _LAST_RUN:
        return None, None
    return run["cronjob"], _EPOCH + int(run["minutes"]) * _MINUTE


def _cronjob_of_cut(job: str) -> str | None:
    run = _CUT_RUN.fullmatch(job)
    if run is None:
        return None
    lost = 10 ** (8 - len(run["minutes"]))
    plausible = _FIRST_RUN // lost <= int(run["minutes"]) < _LAST_RUN // lost
    return run["cronjob"] if plausible else None


@value
class ValueKind:
    """Which values a layout field takes.

    `pattern` is a regular expression without groups that matches as little as it can and whose
    every match has one derivation, so that hostile names cost no more than their length.
    `alphabet` holds each character that a value may have. `convert` gives what is exported, None
    for an empty value; it raises ValueError for what the pattern could not refuse.
    """

    pattern: str
    alphabet: frozenset[str]
    convert: Callable[[str], str | None]


def _given(text: str) -> str | None:
    return text or None


def _address(text: str) -> str | None:
    if ":" not in text:  # the pattern lets IPv4 through in its canonical form alone
        return text or None
    address = IPv6Address(text)
    if address.ipv4_mapped:
        return f"::ffff:{address.ipv4_mapped}"  # str() of it depends on the version of Python
    return str(address)


_DIGITS = "0123456789"
_HEX = _DIGITS + "abcdef"
_ALPHANUMERIC = _DIGITS + "abcdefghijklmnopqrstuvwxyz"

# RFC 1123, as Kubernetes reads it: a label ends at 63 characters, a subdomain at 253.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}?[a-z0-9])??"
_SUBDOMAIN = r"[a-z0-9](?:(?:[a-z0-9-]|(?<=[a-z0-9])\.(?=[a-z0-9])){0,251}?[a-z0-9])??"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"(?:{_OCTET}(?:\.{_OCTET}){{3}}|[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f:.]{{1,40}}?)"


def _optional(pattern: str) -> str:
    return f"(?:{pattern})??"


_label = ValueKind(_LABEL, frozenset(_ALPHANUMERIC + "-"), _given)
_subdomain = ValueKind(_SUBDOMAIN, frozenset(_ALPHANUMERIC + "-."), _given)
_optional_subdomain = ValueKind(_optional(_SUBDOMAIN), _subdomain.alphabet, _given)
_optional_address = ValueKind(_optional(_ADDRESS), frozenset(_HEX + "ABCDEF:."), _address)

KINDS = {
    "namespace": _label,
    "pod": _subdomain,
    "container": _label,
    "pod_ip": _optional_address,  # a Pod on the host network, or one that is too young, has none
    "node_ip": _optional_address,
    "node": _optional_subdomain,
    "uid": ValueKind(r"[0-9a-f](?:[0-9a-f-]{0,62}?[0-9a-f])??", frozenset(_HEX + "-"), _given),
    "job": _optional_subdomain,  # the label is missing where the Pod is no Job's
    "index": ValueKind(r"[0-9]{0,10}?", frozenset(_DIGITS), _given),
    "restart": ValueKind(r"[0-9]{1,10}?", frozenset(_DIGITS), _given),
}
"""The fields that mean something in Kubernetes, and the values they take."""


def own_kind(following: str) -> ValueKind:
    """A field of the user's own: any text, up to the first place where `following` stands."""
    stop = rf"(?!{re.escape(following)})" if following else ""
    return ValueKind(rf"(?:{stop}.)*+", frozenset(), lambda text: encode_name(text) or None)

"""Destinations are URLs: which store a URL means. Nothing is contacted here.

    file:///path, or a plain path
    s3://bucket/prefix?endpoint_url=…&region=…&path_style=true|false&checksums=when_required|when_supported

No message quotes a URL or a value: someone may have written a password there.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from collector.errors import ConfigError
from collector.sink.key import is_key
from collector.sink.local import LocalStore
from collector.sink.store import Store

if TYPE_CHECKING:
    from collector.sink.s3 import Bucket, Checksums

LATER_SCHEMES = ("stdout", "otlp+http", "kafka", "sls")
OPTIONS = ("endpoint_url", "region", "path_style", "checksums")

_T = TypeVar("_T")
_CHECKSUMS: dict[str, Checksums] = {"when_required": "when_required", "when_supported": "when_supported"}
_BOOLEANS = {"true": True, "false": False}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")  # what botocore takes; stores have further rules of their own
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_OPTION_NAME = re.compile(r"[a-z_]{1,30}")
_SECRET_NAME = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)


def open_store(url: str) -> Store:
    """The store of a destination. Raises ConfigError for a URL that means none."""
    if not url or _CONTROL.search(url):
        refuse("the destination is empty or has control characters", "write a folder or s3://bucket/prefix")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return LocalStore(Path(url).absolute(), url=url)
    kind = scheme[1].lower()
    if kind == "file":
        return LocalStore(folder_of(split(url)), url=url)
    if kind == "s3":
        from collector.sink.s3 import S3Store  # noqa: PLC0415 - botocore is slow to import; folders need none

        return S3Store(bucket_of(split(url)), url=url)
    return refuse_scheme(kind)


def folder_of(parts: SplitResult) -> Path:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        refuse("a file: destination is a path of this machine", "write file:///path")
    if parts.query or parts.fragment:
        refuse("a file: destination has no options", "write %3F for a ? in the path, %23 for a #")
    path = unquote(parts.path)
    if _CONTROL.search(path):
        refuse("the path of the file: destination has control characters", "choose another folder")
    return Path(path)


def bucket_of(parts: SplitResult) -> Bucket:
    from collector.sink.s3 import Bucket  # noqa: PLC0415 - see open_store

    prefix = parts.path.strip("/")
    check_bucket_name(parts.netloc)
    if parts.fragment or (prefix and not is_key(prefix)):
        refuse("the prefix in the s3: destination is not valid", "it has no empty part, no '.', '..' or '#'")
    options = options_of(parts.query)
    return Bucket(
        parts.netloc,
        prefix,
        endpoint_url=endpoint_of(options.get("endpoint_url")),
        region=region_of(options.get("region")),
        path_style=one_of(_BOOLEANS, "path_style", options.get("path_style")),
        checksums=one_of(_CHECKSUMS, "checksums", options.get("checksums")),
    )


def check_bucket_name(name: str) -> None:
    if "@" in name or ":" in name:
        refuse_credentials()
    if not name:
        refuse("the s3: destination names no bucket", "write s3://bucket/prefix")
    if not _BUCKET.fullmatch(name):
        refuse("the bucket's name is not valid", "it has letters, digits, '.', '-' and '_' only")


def options_of(query: str) -> dict[str, str]:
    """The options by name; each is known and there once."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            refuse_option(name)
        if name in options:
            refuse(f"the option {name} is there twice", "leave one out")
        options[name] = value
    return options


def endpoint_of(value: str | None) -> str | None:
    if value is None:
        return None
    parts = split(value)
    if "@" in parts.netloc:
        refuse_credentials()
    if parts.scheme not in ("http", "https") or not has_host(parts) or parts.query or parts.fragment:
        refuse("endpoint_url is not valid", "write http://host:port or https://host")
    return value


def has_host(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or too large
        return False


def region_of(value: str | None) -> str | None:
    if value is not None and not _REGION.fullmatch(value):
        refuse("region is not valid", "write it like eu-central-1")
    return value


def one_of(known: dict[str, _T], option: str, value: str | None) -> _T | None:
    if value is None:
        return None
    if value not in known:
        refuse(f"{option} is not valid", f"write {' or '.join(known)}")
    return known[value]


def split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        refuse("the destination is not a valid URL", "see its host name, and the brackets of an IPv6 address")


def refuse_scheme(name: str) -> NoReturn:
    if name in LATER_SCHEMES:
        refuse(f"destinations of the kind {name}: are not supported by this version", "use s3: or a folder")
    refuse(
        f"there are no destinations of the kind {name[:30]}:",
        "write s3://bucket/prefix, file:///path, or ./ before a path with a colon",
    )


def refuse_option(name: str) -> NoReturn:
    if _SECRET_NAME.search(name):
        refuse_credentials()
    shown = name if _OPTION_NAME.fullmatch(name) else "with that name"
    near = get_close_matches(name.lower(), OPTIONS, 1, cutoff=0)[0]
    refuse(f"s3: destinations have no option {shown}", f"did you mean {near}? Known: {', '.join(OPTIONS)}")


def refuse_credentials() -> NoReturn:
    refuse(
        "credentials do not belong into a destination, where they would be shown",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the Pod a role",
    )


def refuse(what: str, hint: str) -> NoReturn:
    raise ConfigError(what, hint=hint)

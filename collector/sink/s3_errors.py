"""What the errors of S3 stores and of botocore mean, and what to do: tables from names to `StoreError`.

The codes are those of Amazon S3 ("Error responses" in its API reference) and of Ceph RGW. Messages
name codes and places; what botocore says about credentials is left out, since it may quote secrets.
"""

from __future__ import annotations

from collector.errors import StoreDenied, StoreError, StoreMissing, StoreUnavailable
from collector.value import value

LONGEST_TEXT = 200


@value
class _Meaning:
    kind: type[StoreError]
    what: str
    hint: str = ""


_KEYS = (
    "check the credentials that botocore finds: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profile, or role"
)
_PERMISSIONS = (
    "allow s3:ListBucket on the bucket, s3:GetObject and s3:PutObject below the prefix; check the keys"
)
_ANOTHER_REGION = _Meaning(StoreDenied, "the bucket is in another region", "set region=… in the URL")
# Most credentials that expire are renewed by a machine, and then found again: that may pass.
_EXPIRED = _Meaning(StoreUnavailable, "the credentials have expired", "renew them where botocore finds them")
_ACCESS_DENIED = _Meaning(StoreDenied, "access is denied", _PERMISSIONS)
_DAMAGED = _Meaning(StoreUnavailable, "the body was damaged on the way")

_BY_CODE = {
    "NoSuchBucket": _Meaning(StoreMissing, "no such bucket", "create the bucket, or correct its name"),
    "InvalidAccessKeyId": _Meaning(StoreDenied, "the store does not know this access key", _KEYS),
    "SignatureDoesNotMatch": _Meaning(StoreDenied, "the secret key is not that of the access key", _KEYS),
    "AccessDenied": _ACCESS_DENIED,
    "403": _ACCESS_DENIED,
    "UserSuspended": _Meaning(StoreDenied, "the user is suspended", "have the user enabled"),
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _Meaning(StoreDenied, "the session token is not valid", _KEYS),
    "RequestTimeTooSkewed": _Meaning(
        StoreDenied, "the clocks differ too much", "set the clock of this machine"
    ),
    "QuotaExceeded": _Meaning(StoreDenied, "the quota is used up", "raise it, or free some space"),
    "EntityTooLarge": _Meaning(StoreDenied, "the object is too large for the store", "lower batch.max_bytes"),
    "PermanentRedirect": _ANOTHER_REGION,
    "AuthorizationHeaderMalformed": _ANOTHER_REGION,
    "301": _ANOTHER_REGION,
    "MissingContentLength": _Meaning(
        StoreDenied,
        "the store refuses uploads with a checksum at the end",
        "add checksums=when_required to the URL",
    ),
    "NotImplemented": _Meaning(
        StoreDenied,
        "the store does not know a part of the request",
        "try checksums=when_required in the URL; the store must take PutObject with If-None-Match",
    ),
    "ConditionalRequestConflict": _Meaning(StoreUnavailable, "another put of this key is under way"),
    "BadDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "RequestTimeout": _Meaning(StoreUnavailable, "the store waited too long for the body"),
    "SlowDown": _Meaning(StoreUnavailable, "the store asks to slow down"),
}

_NO_CREDENTIALS = _Meaning(
    StoreDenied,
    "no credentials found",
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this Pod a role",
)
_CREDENTIALS_FAIL = _Meaning(
    StoreDenied,
    "the credentials cannot be read",
    "check AWS_PROFILE, the files in ~/.aws, and the role of this Pod",
)
_UNREACHABLE = _Meaning(
    StoreUnavailable,
    "the store cannot be reached",
    "check the host name and port of the endpoint, and that it runs",
)
_SILENT = _Meaning(StoreUnavailable, "the store does not answer in time")
_TLS = _Meaning(
    StoreUnavailable,
    "no trusted TLS connection",
    "check https in endpoint_url, the host name, and the certificate authority (AWS_CA_BUNDLE)",
)
_BROKEN = _Meaning(StoreUnavailable, "the connection broke")

_BY_EXCEPTION = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": _NO_CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS_FAIL,
    "TokenRetrievalError": _CREDENTIALS_FAIL,
    "NoAuthTokenError": _CREDENTIALS_FAIL,
    "SSOError": _CREDENTIALS_FAIL,
    "LoginError": _CREDENTIALS_FAIL,
    "UnknownCredentialError": _CREDENTIALS_FAIL,
    "InvalidConfigError": _CREDENTIALS_FAIL,
    "ProfileNotFound": _CREDENTIALS_FAIL,
    "ConfigParseError": _CREDENTIALS_FAIL,
    "ConfigNotFound": _CREDENTIALS_FAIL,
    "NoRegionError": _Meaning(StoreDenied, "no region is set", "set region=… in the URL"),
    "InvalidRegionError": _Meaning(StoreDenied, "the region is not valid", "correct region=… in the URL"),
    "SSLError": _TLS,
    "ConnectTimeoutError": _SILENT,
    "ReadTimeoutError": _SILENT,
    "EndpointConnectionError": _UNREACHABLE,
    "ProxyConnectionError": _Meaning(StoreUnavailable, "the proxy cannot be reached", "check HTTPS_PROXY"),
    "FlexibleChecksumError": _DAMAGED,
    "HTTPClientError": _BROKEN,
    "IncompleteReadError": _BROKEN,
    "HTTPError": _BROKEN,
}


def refusal(code: str, status: int, said: str, place: str) -> StoreError:
    """What the store answered. `place` is the object or bucket, and where it is: the message's start."""
    return _error(_BY_CODE.get(code) or _by_status(status, _one_line(said)), code, place)


def failure(error: Exception, place: str) -> StoreError:
    """What was raised without an answer of the store, by the name of its class or of the nearest above."""
    names = [kind.__name__ for kind in type(error).__mro__]
    known = (_BY_EXCEPTION[name] for name in names if name in _BY_EXCEPTION)
    return _error(next(known, _Meaning(StoreUnavailable, "botocore fails")), names[0], place)


def _by_status(status: int, said: str) -> _Meaning:
    """What is not in the table: by its HTTP status, in the store's own words."""
    if status >= 500 or status in (408, 409, 429):
        return _Meaning(StoreUnavailable, f"the store is overloaded or fails: {said or status}")
    return _Meaning(StoreDenied, f"the store refuses the request: {said or status}", _PERMISSIONS)


def _error(meaning: _Meaning, name: str, place: str) -> StoreError:
    return meaning.kind(f"{place}: {meaning.what} ({_one_line(name)})", hint=meaning.hint)


def _one_line(text: str) -> str:
    """What a store says is foreign text: cut, and without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:LONGEST_TEXT]

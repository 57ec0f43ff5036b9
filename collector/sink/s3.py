"""A bucket as destination, through botocore, on which boto3 stands: create-only by `If-None-Match: *`.

No retries here (`sink.retry` does that), no multipart uploads (not every store honours `If-None-Match`
on their completion), no deletes. What botocore raises is translated here, and only here.
"""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from urllib3.exceptions import HTTPError  # botocore lets it through while a body is read

from collector.errors import ExportDamaged, ObjectMissing, StoreMissing
from collector.sink.key import checked_key, is_key
from collector.sink.s3_errors import failure, refusal
from collector.sink.store import Entry
from collector.value import value

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from types_boto3_s3 import S3Client

Checksums = Literal["when_required", "when_supported"]

REJECTED_KEYS = frozenset(
    ("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch")
)
"""Where the keys themselves are refused, they are looked up anew: a file may hold others by now."""


@value
class Bucket:
    """Where the objects are. `prefix` is without "/" at its ends; None means as botocore finds it.

    `checksums` is botocore's `request_checksum_calculation` and `response_checksum_validation`.
    """

    name: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool | None = None
    checksums: Checksums | None = None
    connect_seconds: float = 5
    read_seconds: float = 60
    connections: int = 16


class S3Store:
    """Contacts nothing before its first call: not the store, and not what hands out credentials."""

    def __init__(self, bucket: Bucket, *, url: str) -> None:
        self._bucket = bucket
        self._url = url
        self._conditional = True
        self._etag_is_md5 = True
        self._made: S3Client | None = None
        self._making = threading.Lock()

    @property
    def url(self) -> str:
        return self._url

    @property
    def conditional(self) -> bool:
        return self._conditional

    def note_unconditional(self) -> None:
        self._conditional = False

    def put_new(self, key: str, body: bytes | memoryview) -> bool:
        if not self._conditional and self.size_bytes(key) is not None:
            return False
        with self._told(checked_key(key)):
            return self._put(self._full(key), body)

    def get(self, key: str) -> bytes:
        with self._told(checked_key(key)):
            try:
                answer = self._client().get_object(Bucket=self._bucket.name, Key=self._full(key))
                return answer["Body"].read()
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    raise ObjectMissing(f"{self._place(key)}: no such object") from None
                raise

    def size_bytes(self, key: str) -> int | None:
        with self._told(checked_key(key)):
            try:
                head = self._client().head_object(Bucket=self._bucket.name, Key=self._full(key))
                return head["ContentLength"]
            except ClientError as error:
                if code_of(error) != "404":
                    raise
            self._require_bucket()  # the answer to HEAD has no body that would tell what is missing
            return None

    def list(self, prefix: str, *, after: str = "") -> Iterator[Entry]:
        for page in self._pages(prefix, StartAfter=self._full(after) if after else ""):
            for found in page.get("Contents", ()):
                key = self._relative(found["Key"])
                if is_key(key):  # not what others put here, such as the "folders" of web consoles
                    yield Entry(key, found["Size"], found["LastModified"])

    def folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", ()):
                folder = self._relative(found["Prefix"])[:-1]
                if is_key(folder):
                    yield folder.rsplit("/", 1)[-1]

    def check(self) -> None:
        """Lists one object. Whether puts are allowed shows at the first one: nothing could remove a trial."""
        with self._told():
            self._client().list_objects_v2(Bucket=self._bucket.name, Prefix=self._full(""), MaxKeys=1)

    def close(self) -> None:
        with self._making:
            if self._made is not None:
                self._made.close()
                self._made = None

    def _put(self, full_key: str, body: bytes | memoryview) -> bool:
        # With Content-MD5 the store itself refuses a body that was damaged on the way, all stores alike.
        md5 = hashlib.md5(body, usedforsecurity=False)
        put: dict[str, Any] = {"IfNoneMatch": "*"} if self._conditional else {}
        try:
            with BodyReader(memoryview(body)) as reader:
                answer = self._client().put_object(
                    Bucket=self._bucket.name,
                    Key=full_key,
                    Body=cast("IO[bytes]", reader),
                    ContentMD5=base64.b64encode(md5.digest()).decode(),
                    **put,
                )
        except ClientError as error:
            if self._conditional and status_of(error) == 412:  # not 409: that put may still fail
                return False
            raise
        # Most stores give the MD5 of what they stored as ETag; by no means all, and not with keys of KMS.
        etag = answer.get("ETag", "").strip('"').lower()
        if self._etag_is_md5 and etag and etag != md5.hexdigest():
            self._compare(full_key, md5.hexdigest())
        return True

    def _compare(self, full_key: str, md5: str) -> None:
        """Reads back what was stored. Raises ExportDamaged where it is something else; where it is not,
        ETags are no MD5 here, and are not asked any more.
        """
        stored = hashlib.md5(usedforsecurity=False)
        answer = self._client().get_object(Bucket=self._bucket.name, Key=full_key)
        for part in answer["Body"].iter_chunks(1 << 20):
            stored.update(part)
        if stored.hexdigest() != md5:
            raise ExportDamaged(
                f"s3://{self._bucket.name}/{full_key}: the store holds other bytes than were sent",
                hint="remove this object: the next start puts it again",
            )
        self._etag_is_md5 = False

    def _require_bucket(self) -> None:
        try:
            self._client().head_bucket(Bucket=self._bucket.name)
        except ClientError as error:
            if code_of(error) == "404":
                raise StoreMissing(
                    f"{self._place()}: no such bucket", hint="create the bucket, or correct its name"
                ) from None
            raise

    def _pages(self, prefix: str, **options: str) -> Iterator[Any]:
        asked: dict[str, Any] = {name: value for name, value in options.items() if value}
        with self._told():
            listing = self._client().get_paginator("list_objects_v2")
            pages = listing.paginate(Bucket=self._bucket.name, Prefix=self._full(prefix), **asked)
        each = iter(pages)
        while True:
            with self._told():
                page = next(each, None)
            if page is None:
                return
            yield page

    def _full(self, key: str) -> str:
        return f"{self._bucket.prefix}/{key}" if self._bucket.prefix else key

    def _relative(self, full_key: str) -> str:
        return full_key[len(self._full("")) :]

    def _place(self, key: str = "") -> str:
        """What a message is about: the object, and the endpoint if it is not the usual one."""
        at = f" at {self._bucket.endpoint_url}" if self._bucket.endpoint_url else ""
        return f"s3://{self._bucket.name}/{self._full(key)}".rstrip("/") + at

    @contextmanager
    def _told(self, key: str = "") -> Iterator[None]:
        """Translates what botocore and the transport below it raise."""
        try:
            yield
        except ClientError as error:
            said = error.response["Error"].get("Message", "")
            if code_of(error) in REJECTED_KEYS:
                self._forget_client()
            raise refusal(code_of(error), status_of(error), said, self._place(key)) from error
        except (BotoCoreError, HTTPError) as error:
            raise failure(error, self._place(key)) from error

    def _forget_client(self) -> None:
        """The next call makes a new one, with the credentials found then. Others may still use this one."""
        with self._making:
            self._made = None

    def _client(self) -> S3Client:
        with self._making:  # sessions are not made to be used by several threads; clients are
            if self._made is None:
                self._made = make_client(self._bucket)
            return self._made


def make_client(bucket: Bucket) -> S3Client:
    options: dict[str, Any] = {
        "connect_timeout": bucket.connect_seconds,
        "read_timeout": bucket.read_seconds,
        "max_pool_connections": bucket.connections,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        "tcp_keepalive": True,
    }
    if bucket.path_style is not None:
        options["s3"] = {"addressing_style": "path" if bucket.path_style else "virtual"}
    if bucket.checksums is not None:
        options["request_checksum_calculation"] = bucket.checksums
        options["response_checksum_validation"] = bucket.checksums
    config = Config(**options)
    client = get_session().create_client(
        "s3", endpoint_url=bucket.endpoint_url, region_name=bucket.region, config=config
    )
    return cast("S3Client", client)


def code_of(error: ClientError) -> str:
    return error.response["Error"].get("Code", "")


def status_of(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


class BodyReader(io.RawIOBase):
    """A file over memory: botocore takes files, and would want memory itself copied into `bytes`.

    Closing it lets go of the memory: botocore's own objects know each other in circles, and stay until the
    garbage collector comes by.
    """

    def __init__(self, body: memoryview) -> None:
        super().__init__()
        self._body = body.cast("B")
        self._at = 0

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        self._body = memoryview(b"")
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._body)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        part = self._body[self._at : self._at + len(into)]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)

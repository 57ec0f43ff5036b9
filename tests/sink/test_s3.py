"""The bucket as destination: what is sent, and what each failure means, over real connections."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ObjectMissing, StoreDenied, StoreMissing, StoreUnavailable
from collector.sink.destination import open_store
from collector.sink.s3 import BodyReader, Bucket, S3Store

SECRET = "the-secret-of-nobody"  # noqa: S105  # looked for in messages


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answering:
    """A server that gives each request the same answer, and keeps the requests."""

    port: int = 0
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"s3://bucket/prefix?endpoint_url=http://127.0.0.1:{self.port}&path_style=true"

    def refuse(self, status: int, code: str, message: str = "words") -> None:
        self.status = status
        self.body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


@pytest.fixture(scope="module")
def server():
    answering = Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answering.requests.append(Request(self.command, self.path, headers, body))
            self.send_response(answering.status)
            for name, value in {"Content-Length": str(len(answering.body)), **answering.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answering.body)
            self.close_connection = "Content-Length" in answering.headers

        do_GET = do_PUT = do_HEAD = handle_any  # noqa: N815  # names that http.server asks for

        def log_message(self, *args):
            """Tests tell what they need to."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        answering.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield answering
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def asking(server):
    """One store for many answers: to make a client takes botocore longer than all of them."""
    return open_store(server.url)


@pytest.fixture
def answering(server, keys):
    """The server, which answers 200 until it is told otherwise."""
    server.status, server.body, server.headers, server.requests = 200, b"", {}, []
    return server


@pytest.fixture
def no_keys(monkeypatch, tmp_path):
    """An environment in which botocore finds no credentials and asks no metadata service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture
def keys(no_keys, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


class TestRequests:
    def test_nothing_is_contacted_by_opening(self, answering):
        """A destination that is opened and closed sends nothing."""
        open_store(answering.url).close()
        assert answering.requests == []

    def test_a_put(self, answering):
        """One request: create-only, with the MD5 that lets the store refuse a damaged body."""
        assert open_store(answering.url).put_new("data/x", memoryview(b"0123456789")[2:5]) is True
        (put,) = answering.requests
        assert (put.method, put.path, put.body) == ("PUT", "/bucket/prefix/data/x", b"234")
        assert put.headers["if-none-match"] == "*"
        assert base64.b64decode(put.headers["content-md5"]) == hashlib.md5(b"234").digest()  # noqa: S324

    def test_a_put_after_a_note(self, answering):
        """A store that ignores conditions is asked first, then sent the object without a condition."""
        answering.refuse(404, "")
        store = open_store(answering.url)
        store.note_unconditional()
        with pytest.raises(StoreMissing):
            store.put_new("x", b"")
        assert [request.method for request in answering.requests] == ["HEAD", "HEAD"]
        answering.status = 200
        assert store.put_new("x", b"") is False

    @pytest.mark.parametrize(("checksums", "sent"), [("when_required", False), ("when_supported", True)])
    def test_checksums(self, answering, checksums, sent):
        """The option decides whether botocore adds a checksum of its own."""
        open_store(f"{answering.url}&checksums={checksums}").put_new("x", b"body")
        assert any(name.startswith("x-amz-checksum-") for name in answering.requests[0].headers) is sent

    def test_no_request_is_repeated(self, answering):
        """botocore's own retries are off: one call is one request, whatever the answer."""
        answering.refuse(503, "SlowDown")
        store = open_store(answering.url)
        for call in (lambda: store.put_new("x", b""), lambda: store.get("x"), store.check):
            answering.requests.clear()
            with pytest.raises(StoreUnavailable):
                call()
            assert len(answering.requests) == 1

    @given(st.binary(max_size=50), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=8))
    def test_the_reader_is_a_file(self, body, steps):
        """Reading and seeking in memory gives what a file of the same bytes gives."""
        ours, theirs = BodyReader(memoryview(body)), io.BytesIO(body)
        assert len(ours) == len(body)
        for position, size in steps:
            assert ours.seek(position) == theirs.seek(position)
            assert ours.read(size) == theirs.read(size)
            assert ours.tell() == theirs.tell()
        assert ours.seek(-len(body), io.SEEK_END) == 0
        assert ours.read() == body


class TestAnswers:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "said"),
        [
            (403, "InvalidAccessKeyId", StoreDenied, "does not know this access key"),
            (403, "SignatureDoesNotMatch", StoreDenied, "secret key is not that of the access key"),
            (403, "AccessDenied", StoreDenied, "allow s3:ListBucket"),
            (403, "RequestTimeTooSkewed", StoreDenied, "set the clock of this machine"),
            (403, "QuotaExceeded", StoreDenied, "quota is used up"),
            (403, "UserSuspended", StoreDenied, "user is suspended"),
            (403, "SomethingNew", StoreDenied, "words"),
            (400, "ExpiredToken", StoreUnavailable, "have expired"),
            (400, "InvalidToken", StoreDenied, "session token is not valid"),
            (400, "AuthorizationHeaderMalformed", StoreDenied, "set region="),
            (400, "EntityTooLarge", StoreDenied, "lower batch.max_bytes"),
            (400, "BadDigest", StoreUnavailable, "damaged on the way"),
            (400, "RequestTimeout", StoreUnavailable, "waited too long"),
            (404, "NoSuchBucket", StoreMissing, "create the bucket"),
            (409, "ConditionalRequestConflict", StoreUnavailable, "another put of this key"),
            (409, "OperationAborted", StoreUnavailable, "words"),
            (411, "MissingContentLength", StoreDenied, "add checksums=when_required"),
            (429, "TooManyRequests", StoreUnavailable, "words"),
            (500, "InternalError", StoreUnavailable, "words"),
            (501, "NotImplemented", StoreDenied, "If-None-Match"),
            (503, "SlowDown", StoreUnavailable, "slow down"),
            (503, "ServiceUnavailable", StoreUnavailable, "words"),
        ],
    )
    def test_refusals(self, answering, asking, *, status, code, kind, said):
        """Each code of S3 and RGW is one line with the place, the code, and what to do; for every call."""
        answering.refuse(status, code)
        for call in (
            lambda: asking.put_new("data/key", b"body"),
            lambda: asking.get("data/key"),
            lambda: list(asking.list("data/key")),
            asking.check,
        ):
            with pytest.raises(kind) as caught:
                call()
            assert type(caught.value) is kind
            assert said in str(caught.value)
            assert f"({code})" in str(caught.value)
            assert str(caught.value).startswith("s3://bucket/prefix")
            assert SECRET not in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_head_has_no_code(self, answering, asking):
        """HEAD tells only a status: 403 is denied, 503 may pass, 404 is the bucket if that is missing too."""
        for status, kind in ((403, StoreDenied), (503, StoreUnavailable), (404, StoreMissing)):
            answering.status = status
            with pytest.raises(kind):
                asking.size_bytes("key")

    def test_412_is_no_error(self, answering, asking):
        """The key exists: `put_new` is False."""
        answering.refuse(412, "PreconditionFailed")
        assert asking.put_new("key", b"") is False

    def test_only_a_missing_key_is_a_missing_object(self, answering, asking):
        """404 NoSuchKey is ObjectMissing; another 404 is not."""
        answering.refuse(404, "NoSuchKey")
        with pytest.raises(ObjectMissing, match="prefix/key"):
            asking.get("key")
        answering.refuse(404, "NoSuchUpload")
        with pytest.raises(StoreDenied):
            asking.get("key")

    def test_foreign_words_stay_on_one_short_line(self, answering, asking):
        """What a store says is cut, and cannot write control characters to a terminal."""
        answering.refuse(403, "Odd&#10;Code", "first&#10;second &#x9b;31m" + "x" * 5000)
        with pytest.raises(StoreDenied) as caught:
            asking.check()
        assert "first second  31m" in str(caught.value)
        assert len(str(caught.value)) < 600

    def test_no_answer_in_xml(self, answering, asking):
        """A proxy's page instead of an answer is judged by its status."""
        answering.status, answering.body = 502, b"<html>Bad gateway</html>"
        with pytest.raises(StoreUnavailable, match="502"):
            asking.check()
        answering.status, answering.body = 200, b"<html>log in</html"
        with pytest.raises(StoreUnavailable):
            asking.check()


class TestConnections:
    def test_refused(self, keys):
        """Nobody listens: StoreUnavailable that names the endpoint."""
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with pytest.raises(StoreUnavailable, match=r"cannot be reached .* host name and port") as caught:
                open_store(f"s3://bucket?endpoint_url={endpoint}").check()
            assert endpoint in str(caught.value)

    def test_unresolved(self, keys):
        """A host name that does not resolve is StoreUnavailable too."""
        with pytest.raises(StoreUnavailable, match=r"cannot be reached .* host name and port"):
            open_store("s3://bucket?endpoint_url=http://nowhere.invalid&path_style=true").check()

    def test_silent(self, keys):
        """A store that accepts and never answers is given up after the read timeout."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            bucket = Bucket("bucket", endpoint_url=endpoint, path_style=True, read_seconds=0.2)
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                S3Store(bucket, url="s3://bucket").put_new("key", b"body")

    def test_no_tls(self, answering):
        """https to a port that speaks http is StoreUnavailable with what to check."""
        with pytest.raises(StoreUnavailable, match=r"no trusted TLS connection .*AWS_CA_BUNDLE"):
            open_store(answering.url.replace("http://", "https://")).check()

    def test_no_certificate_authorities(self, answering, monkeypatch):
        """A file of authorities that is not there is the same line, not a traceback."""
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent")
        with pytest.raises(StoreUnavailable, match="AWS_CA_BUNDLE"):
            open_store(answering.url.replace("http://", "https://")).check()

    def test_untrusted_tls(self, keys, untrusted):
        """A certificate that nobody vouches for is refused in the same way."""
        with pytest.raises(StoreUnavailable, match=r"no trusted TLS connection .* certificate authority"):
            open_store(f"s3://bucket?endpoint_url={untrusted}&path_style=true").check()

    @pytest.fixture
    def untrusted(self, tmp_path):
        """A TLS endpoint with a certificate of its own making."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path / "pem"))
        with socket.create_server(("127.0.0.1", 0)) as server:
            thread = threading.Thread(target=refused_handshake, args=(context, server))
            thread.start()
            yield f"https://127.0.0.1:{server.getsockname()[1]}"
            thread.join(10)

    def test_cut_off(self, answering):
        """A body that ends before its length is StoreUnavailable, never a short object."""
        answering.body, answering.headers = b"short", {"Content-Length": "1000"}
        with pytest.raises(StoreUnavailable, match="connection broke"):
            open_store(answering.url).get("key")


class TestCredentials:
    def test_none(self, no_keys):
        """No credentials anywhere: StoreDenied that says where botocore looks."""
        with pytest.raises(StoreDenied, match=r"no credentials found .* AWS_ACCESS_KEY_ID") as caught:
            open_store("s3://bucket?region=eu-central-1").check()
        assert "s3://bucket" in str(caught.value)

    def test_half(self, no_keys, monkeypatch):
        """An access key without its secret is said to be missing credentials."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY")
        with pytest.raises(StoreDenied, match="no credentials found"):
            open_store("s3://bucket?region=eu-central-1").check()

    def test_a_profile_that_is_not_there(self, keys, monkeypatch):
        """A profile that botocore cannot find is StoreDenied with where to look."""
        monkeypatch.setenv("AWS_PROFILE", "nowhere")
        with pytest.raises(StoreDenied, match=r"credentials cannot be read .* AWS_PROFILE"):
            open_store("s3://bucket").check()

    def test_a_helper_that_fails(self, no_keys, monkeypatch, tmp_path):
        """What a credential helper prints is not repeated: it may be the secret."""
        (tmp_path / "config").write_text(
            f"[default]\ncredential_process = sh -c 'echo {SECRET} >&2; exit 1'\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        with pytest.raises(StoreDenied, match="credentials cannot be read") as caught:
            open_store("s3://bucket").check()
        assert SECRET not in str(caught.value)


class TestBucket:
    def test_a_missing_bucket(self, moto, monkeypatch):
        """Every call says that the bucket is not there; none says that it is empty or the object missing."""
        moto.use(monkeypatch)
        store = open_store(moto.store_url("no-such-bucket"))
        for call in (
            lambda: store.get("key"),
            lambda: store.size_bytes("key"),
            lambda: store.put_new("key", b""),
            lambda: list(store.list("")),
            lambda: list(store.folders("")),
            store.check,
        ):
            with pytest.raises(StoreMissing, match=r"no such bucket.*: create the bucket"):
                call()

    def test_what_others_put_there(self, moto, s3_url):
        """Marks that web consoles make for folders, and odd keys of others, are no objects of ours."""
        bucket = s3_url.split("/")[2]
        for key in (
            "prefix/",
            "prefix/data/",
            "prefix//x",
            "prefix/data/ours",
            "prefix2/data/theirs",
            "data/x",
        ):
            moto.client.put_object(Bucket=bucket, Key=key, Body=b"")
        store = open_store(s3_url)
        assert [entry.key for entry in store.list("")] == ["data/ours"]
        assert list(store.folders("")) == ["data"]

    def test_without_a_prefix(self, moto, monkeypatch):
        """A whole bucket may be the destination."""
        moto.use(monkeypatch)
        store = open_store(moto.store_url(moto.new_bucket(), prefix=""))
        store.put_new("data/x", b"1")
        assert [entry.key for entry in store.list("")] == ["data/x"]
        assert [entry.key for entry in store.list("data/", after="data/x")] == []

    def test_after_closing(self, s3_url):
        """A closed store can be asked again."""
        store = open_store(s3_url)
        store.put_new("x", b"1")
        store.close()
        assert store.get("x") == b"1"


def self_signed(path):
    """A file with a new key and its certificate."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(pem, *plain) + certificate.public_bytes(pem))
    return path


def refused_handshake(context, server):
    """Accepts one connection, whose client then does not trust us."""
    connection, _ = server.accept()
    with connection, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(connection, server_side=True).read()

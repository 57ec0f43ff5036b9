"""Object stores that any test may use: moto over HTTP, and a real Ceph RGW for end-to-end tests; signals as
in a terminal.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import threading
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import boto3
import hypothesis
import pytest


def pytest_configure() -> None:
    """A shell that runs the tests in the background ignores SIGINT, and all children would inherit that. How
    long an example takes says more of the machine than of the claim.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("busy machine", deadline=None)
    hypothesis.settings.load_profile("busy machine")


@dataclass(frozen=True)
class Endpoint:
    """An S3 endpoint and the keys of a user of it."""

    url: str
    access_key: str
    secret_key: str
    user: str

    def new_bucket(self) -> str:
        """Makes a bucket that nobody else uses."""
        name = f"joblog-{uuid.uuid4().hex}"
        self.client.create_bucket(Bucket=name)
        return name

    @cached_property
    def client(self):
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def use(self, monkeypatch) -> None:
        """Lets boto3 find these keys, and nothing of the person's who runs the tests."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.secret_key)

    def store_url(self, bucket: str, prefix: str = "prefix") -> str:
        return f"s3://{bucket}/{prefix}?endpoint_url={self.url}&path_style=true"


@dataclass(frozen=True)
class Ceph(Endpoint):
    """A Ceph RGW, which can be made to misbehave."""

    script: Path

    def fault(self, *words: str) -> None:
        subprocess.run([self.script, "fault", *words], check=True, capture_output=True)

    def further_user(self) -> Endpoint:
        """A user that no bucket lets in."""
        name = uuid.uuid4().hex
        made = subprocess.run([self.script, "user", name], check=True, capture_output=True, text=True)
        keys = exports(made.stdout)
        return Endpoint(self.url, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], name)


@pytest.fixture(scope="session")
def moto():
    """A moto server over HTTP. It checks no signatures."""
    # Only here, because the import takes a second and most tests need none of it.
    from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server  # noqa: PLC0415

    app = one_at_a_time(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield Endpoint(f"http://127.0.0.1:{server.port}", "test", "test", "test")
    server.shutdown()
    thread.join()
    server.server_close()


def one_at_a_time(app):
    """moto looks whether a key exists, then puts it: two requests at once could both be the first.

    A request's body is read before that: its sender may be a process that a test has paused.
    """
    lock = threading.Lock()

    def answer(environ, start_response):
        if length := environ.get("CONTENT_LENGTH"):
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with lock:
            return list(app(environ, start_response))

    return answer


@pytest.fixture
def s3_url(moto, monkeypatch):
    """The URL of a new, empty destination on moto, with credentials in the environment."""
    moto.use(monkeypatch)
    return moto.store_url(moto.new_bucket())


@pytest.fixture(scope="session")
def ceph():
    """A Ceph RGW, started by the scripts in `JOBLOG_REAL_PARTS` if it does not run yet, and left running."""
    parts = os.environ.get("JOBLOG_REAL_PARTS")
    if not parts:
        pytest.skip("JOBLOG_REAL_PARTS does not name the folder of the scripts that start real servers")
    script = Path(parts, "s3-ceph.sh")
    up = subprocess.run([script, "up"], check=True, stdout=subprocess.PIPE, text=True)
    found = exports(up.stdout)
    keys = found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
    return Ceph(found["S3_ENDPOINT"], *keys, "joblog", script)


def exports(script: str) -> dict[str, str]:
    """The variables of `export NAME=value …` lines."""
    return dict(re.findall(r"(\w+)=(\S+)", script))


@pytest.fixture
def ceph_url(ceph, monkeypatch):
    """The URL of a new, empty destination on Ceph RGW, with credentials in the environment."""
    ceph.use(monkeypatch)
    return ceph.store_url(ceph.new_bucket())

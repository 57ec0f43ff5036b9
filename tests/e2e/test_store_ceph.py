"""S3 that checks signatures, permissions and quotas, and that hangs and dies: a real Ceph RGW."""

from __future__ import annotations

import json
import time

import pytest

from collector.errors import StoreDenied, StoreMissing, StoreUnavailable
from collector.events import DestinationFailing, DestinationRecovered
from collector.sink.destination import bucket_of, open_store, split
from collector.sink.retry import Retrying, RetryPolicy
from collector.sink.s3 import S3Store

pytestmark = pytest.mark.e2e


@pytest.fixture
def store(ceph_url):
    store = open_store(ceph_url)
    store.check()
    yield store
    store.close()


def impatient(url: str) -> S3Store:
    """The same destination, given up after a second."""
    found = bucket_of(split(url))
    return S3Store(
        type(found)(found.name, found.prefix, found.endpoint_url, path_style=True, read_seconds=1), url=url
    )


def wait_until(holds, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.05)


class TestCredentials:
    def test_an_unknown_access_key(self, ceph_url, monkeypatch):
        """RGW does not know the key: StoreDenied with what to check."""
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDOFNOBODY")
        with pytest.raises(StoreDenied, match=r"does not know this access key .*AWS_ACCESS_KEY_ID"):
            open_store(ceph_url).check()

    def test_a_wrong_secret(self, ceph_url, monkeypatch):
        """RGW checks signatures: StoreDenied, and the secret is not shown."""
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
        store = open_store(ceph_url)
        for call in (store.check, lambda: store.put_new("x", b""), lambda: store.get("x")):
            with pytest.raises(StoreDenied, match="secret key is not that of the access key") as caught:
                call()
            assert "hunter2" not in str(caught.value)
        with pytest.raises(StoreDenied, match="access is denied"):
            store.size_bytes("x")

    def test_a_user_without_permission(self, ceph, ceph_url, monkeypatch):
        """A user that no policy lets in is told which permissions are needed."""
        ceph.further_user().use(monkeypatch)
        with pytest.raises(StoreDenied, match=r"allow s3:ListBucket .*s3:GetObject and s3:PutObject"):
            open_store(ceph_url).check()

    def test_put_get_and_list_are_enough(self, ceph, ceph_url, monkeypatch):
        """A user that may only put, get and list can do everything; delete permission is not asked for."""
        bucket = ceph_url.split("/")[2]
        user = ceph.further_user()
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam:::user/{user.user}"]},
            "Action": ["s3:PutObject", "s3:GetObject", "s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        ceph.client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        user.use(monkeypatch)
        store = open_store(ceph_url)
        store.check()
        assert store.put_new("data/x", b"1") is True
        assert store.put_new("data/x", b"2") is False
        assert store.get("data/x") == b"1"
        assert store.size_bytes("data/x") == 1
        assert store.size_bytes("data/y") is None
        assert [entry.key for entry in store.list("")] == ["data/x"]
        assert list(store.folders("")) == ["data"]

    def test_a_missing_bucket(self, ceph, monkeypatch):
        """No such bucket is told apart from no such object, also by HEAD, whose answer has no body."""
        ceph.use(monkeypatch)
        store = open_store(ceph.store_url("no-such-bucket"))
        for call in (
            store.check,
            lambda: store.get("x"),
            lambda: store.size_bytes("x"),
            lambda: store.put_new("x", b""),
            lambda: list(store.list("")),
        ):
            with pytest.raises(StoreMissing, match="no such bucket"):
                call()


class TestFaults:
    def test_a_put_without_answer_may_land_later(self, ceph, ceph_url, store):
        """A put that timed out takes effect after the disk resumed; the next try then meets it.

        It is False then, and what stands there is one's own: so False is no sign of another owner.
        """
        store.put_new("warm", b"")
        told = []
        ceph.fault("pause-osd")
        try:
            with pytest.raises(StoreUnavailable, match="does not answer in time"):
                impatient(ceph_url).put_new("late", b"mine")

            def resume_after_the_first_failure(event):
                told.append(event)
                if len(told) == 1:
                    ceph.fault("resume-osd")
                    wait_until(lambda: store.size_bytes("late") is not None)

            retrying = Retrying(
                impatient(ceph_url),
                policy=RetryPolicy(None, 0.1, 1),
                emit=resume_after_the_first_failure,
                random=lambda: 1.0,
            )
            won = retrying.put_new("late", b"mine")
        finally:
            ceph.fault("resume-osd")
        assert isinstance(told[0], DestinationFailing)
        assert isinstance(told[-1], DestinationRecovered)
        assert won is False
        assert store.get("late") == b"mine"

    def test_a_killed_store_is_waited_for(self, ceph, ceph_url, store):
        """While RGW is dead, calls wait; once it is back, they are answered and it is told."""
        told = []
        ceph.fault("kill-rgw")

        def start_after_the_second_failure(event):
            told.append(event)
            if len(told) == 2:
                ceph.fault("start-rgw")

        retrying = Retrying(
            store,
            policy=RetryPolicy(None, 0.05, 0.5),
            emit=start_after_the_second_failure,
            random=lambda: 1.0,
        )
        try:
            assert retrying.put_new("after", b"body") is True
        finally:
            ceph.fault("start-rgw")
        assert told[0].attempt == 1
        assert "cannot be reached" in told[0].error or "connection broke" in told[0].error
        assert isinstance(told[-1], DestinationRecovered)
        assert store.get("after") == b"body"

    def test_a_suspended_user(self, ceph, store):
        """Suspended is StoreDenied with what to do, until it is enabled again."""
        ceph.fault("suspend")
        try:
            with pytest.raises(StoreDenied, match="suspended"):
                store.check()
        finally:
            ceph.fault("enable")
        store.check()

    def test_a_used_up_quota(self, ceph, store):
        """A used-up quota is StoreDenied with what to do; reading goes on."""
        store.put_new("first", b"1")
        ceph.fault("quota", "1")
        try:
            with pytest.raises(StoreDenied, match="quota is used up"):
                store.put_new("second", b"2")
            assert store.get("first") == b"1"
        finally:
            ceph.fault("no-quota")
        assert store.put_new("second", b"2") is True

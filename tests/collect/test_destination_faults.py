"""What a store can do to a collector: each line arrives once, and `/readyz` says what is wrong meanwhile."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from collector_process import Collector, Site, verify, wait_until
from exported import assert_exactly_once, objects
from faulty_proxy import (
    Does,
    Fault,
    FaultyProxy,
    cut_answer,
    cut_request,
    damaged,
    refused,
    slow,
    stored_but,
)

Start = Callable[..., Collector]
LINES = "".join(f"line {number:05d}\n" for number in range(1000))
SECRET = "not-to-be-shown"  # noqa: S105 - the point of a test


@dataclass(frozen=True)
class Hurt:
    """A site whose store is reached through a faulty proxy. `direct` is the same without it."""

    site: Site
    direct: Site
    proxy: FaultyProxy
    http: str

    @property
    def log(self) -> Path:
        return self.site.source() / "app.log"

    def write(self, text: str = LINES) -> None:
        with self.log.open("a") as log:
            log.write(text)

    def reasons(self) -> str:
        """Why it is not ready; empty where it is. Right after a start nobody answers yet."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=10) as answer:
                assert answer.status == 200
                return ""
        except urllib.error.HTTPError as error:
            assert error.code == 503
            return "; ".join(json.loads(error.read())["reasons"])
        except urllib.error.URLError:
            return "no answer"

    def wait_unready(self, said: str) -> None:
        wait_until(f"/readyz says {said!r}", lambda: said in self.reasons())

    def wait_ready(self) -> None:
        wait_until("/readyz says 200", lambda: not self.reasons())

    def wait_committed(self, collector: Collector) -> None:
        def committed() -> int:
            return sum(event["bytes"] for event in collector.named("batch_committed"))

        wait_until("all is committed", lambda: committed() == self.log.stat().st_size)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def made(endpoint, folder: Path) -> Hurt:
    to = endpoint.store_url(endpoint.new_bucket())
    (folder / "volume").mkdir()
    proxy, http = FaultyProxy(endpoint.url), free_address()
    direct = Site(folder / "volume", to, folder / "state", ("--batch-max-age", "100ms", "--http", http))
    return Hurt(replace(direct, to=to.replace(endpoint.url, proxy.url)), direct, proxy, http)


@pytest.fixture
def hurt(moto, monkeypatch, tmp_path: Path) -> Iterator[Hurt]:
    moto.use(monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    found = made(moto, tmp_path)
    yield found
    found.proxy.close()


@pytest.fixture(scope="module")
def running(moto, tmp_path_factory) -> Iterator[tuple[Hurt, Collector]]:
    """A collector that the tests of this module hurt one after the other."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        moto.use(monkeypatch)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        found = made(moto, tmp_path_factory.mktemp("hurt"))
        found.write()
        collector = Collector(found.site)
        collector.wait_for("batch_committed")
        yield found, collector
        collector.abandon()
        found.proxy.close()


FAULTS: dict[str, tuple[Does, str]] = {
    "503_slow_down": (refused(503, "SlowDown"), "asks to slow down"),
    "500_after_it_was_stored": (stored_but(500, "InternalError"), "the store is overloaded or fails"),
    "reset_in_the_request": (cut_request, "the connection broke"),
    "damaged_on_the_way": (damaged(noticed=True), "damaged on the way"),
    "clocks_differ": (refused(403, "RequestTimeTooSkewed"), "the clocks differ too much"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_ends(running: tuple[Hurt, Collector], name: str) -> None:
    """While puts fail in this way the collector is not ready and says why; when they do not any more, it goes
    on by itself: each line is there once.
    """
    hurt, collector = running
    does, said = FAULTS[name]
    fault = hurt.proxy.add(Fault(does, ("PUT",)))
    hurt.write()
    hurt.wait_unready(said)
    hurt.proxy.remove(fault)
    hurt.wait_ready()
    hurt.wait_committed(collector)
    assert_exactly_once(hurt.site.volume, hurt.direct.to)
    assert SECRET not in collector.log


def test_the_store_is_down_for_a_while(running: tuple[Hurt, Collector]) -> None:
    """Connections are refused, then answered again: not ready meanwhile, each line is there once."""
    hurt, collector = running
    hurt.proxy.down()
    hurt.write()
    hurt.wait_unready("the store cannot be reached")
    hurt.proxy.up()
    hurt.wait_ready()
    hurt.wait_committed(collector)
    assert_exactly_once(hurt.site.volume, hurt.direct.to)


def test_a_slow_store(running: tuple[Hurt, Collector]) -> None:
    """A store that thinks before each answer, and sends it in pieces, is only slow: nothing fails."""
    hurt, collector = running
    failed = len(collector.named("destination_failing"))
    fault = hurt.proxy.add(Fault(slow(0.2)))
    hurt.write()
    hurt.wait_committed(collector)
    hurt.proxy.remove(fault)
    assert len(collector.named("destination_failing")) == failed
    assert not hurt.reasons()
    assert_exactly_once(hurt.site.volume, hurt.direct.to)


def test_a_bucket_that_is_deleted(running: tuple[Hurt, Collector], moto) -> None:
    """The bucket is gone: not ready, and `--once` ends with exit code 3 and one line. When it is back as it
    was, the collector goes on: each line is there once.
    """
    hurt, collector = running
    bucket, held = hurt.direct.to.removeprefix("s3://").partition("/")[0], objects(hurt.direct.to)
    for key in held:
        moto.client.delete_object(Bucket=bucket, Key=f"prefix/{key}")
    moto.client.delete_bucket(Bucket=bucket)
    hurt.write()
    hurt.wait_unready("no such bucket")
    once = hurt.site.with_state(hurt.site.state.with_name("other")).once("--name", "other")
    assert once.code == 3
    assert len(once.errors) == 1, once.stderr
    assert "no such bucket" in once.errors[0]
    moto.client.create_bucket(Bucket=bucket)
    for key, body in held.items():
        moto.client.put_object(Bucket=bucket, Key=f"prefix/{key}", Body=body)
    hurt.wait_ready()
    hurt.wait_committed(collector)
    assert_exactly_once(hurt.site.volume, hurt.direct.to)


def test_answers_that_break_off(hurt: Hurt, start: Start) -> None:
    """A collector without its state folder reads the records, and answers break off in their middle: it is
    not ready and says so, tries again, and goes on where it was.
    """
    hurt.write()
    assert hurt.site.once().code == 0
    fault = hurt.proxy.add(Fault(cut_answer, ("GET",), "_joblog/commits/"))
    collector = start(hurt.site.with_state(hurt.site.state.with_name("new")))
    hurt.wait_unready("the connection broke")
    hurt.proxy.remove(fault)
    hurt.wait_ready()
    hurt.write()
    collector.wait_for("batch_committed")
    assert collector.stop() == 0
    assert assert_exactly_once(hurt.site.volume, hurt.direct.to) == 2000


def test_credentials_that_expire_and_are_renewed(
    hurt: Hurt, start: Start, monkeypatch, tmp_path: Path
) -> None:
    """Keys of a file expire: not ready, and no line of the log has them. The file is renewed: it is read
    again, and the collector goes on without a restart.
    """

    def keys(name: str) -> str:
        return f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {SECRET}\n"

    file = tmp_path / "credentials"
    file.write_text(keys("OLDKEY"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    hurt.write()
    collector = start(hurt.site)
    collector.wait_for("batch_committed")

    def expired(exchange) -> None:
        if "Credential=OLDKEY/" in exchange.headers["Authorization"]:
            exchange.say(403, "ExpiredToken", f"The provided token {SECRET} has expired")
        else:
            exchange.answer(exchange.forward())

    hurt.proxy.add(Fault(expired))
    hurt.write()
    hurt.wait_unready("the credentials have expired")
    file.write_text(keys("NEWKEY"))
    hurt.wait_ready()
    hurt.wait_committed(collector)
    assert collector.stop() == 0
    assert SECRET not in collector.log
    assert assert_exactly_once(hurt.site.volume, hurt.direct.to) == 2000


def test_a_body_that_is_stored_damaged(hurt: Hurt, moto) -> None:
    """A store that does not look at checksums stores a damaged object: the collector notices by the answer,
    ends with exit code 3 and one line that names it; `verify` finds it too. Once it is removed, the next
    start puts it again.
    """
    hurt.write()
    fault = hurt.proxy.add(Fault(damaged(noticed=False), ("PUT",), "/data/", times=1))
    ended = hurt.site.once()
    fault.wait()
    assert ended.code == 3, ended.stderr
    assert len(ended.errors) == 1, ended.stderr
    assert "other bytes than were sent" in ended.errors[0]
    assert verify("--to", hurt.direct.to).code == 1
    (key,) = objects(hurt.direct.to, "data/")
    assert key in ended.errors[0]
    bucket = hurt.direct.to.removeprefix("s3://").partition("/")[0]
    moto.client.delete_object(Bucket=bucket, Key=f"prefix/{key}")
    assert hurt.site.once("--complete").code == 0
    assert assert_exactly_once(hurt.site.volume, hurt.direct.to) == 1000
    assert hurt.direct.verify().code == 0


def test_put_get_and_list_are_enough(hurt: Hurt, start: Start) -> None:
    """A user that may do nothing but put, get and list (head is a get): the collector collects, writes its
    receipts, starts again without its state folder, and asks for nothing else.
    """
    denied = hurt.proxy.add(Fault(refused(403, "AccessDenied"), ("DELETE", "POST", "PATCH")))
    hurt.write()
    assert hurt.site.once("--complete").code == 0
    hurt.write()
    assert hurt.site.with_state(hurt.site.state.with_name("new")).once("--complete").code == 0
    assert not denied.reached
    assert {method for method, _ in hurt.proxy.requests} <= {"PUT", "GET", "HEAD"}
    assert assert_exactly_once(hurt.site.volume, hurt.direct.to) == 2000
    assert hurt.direct.verify().code == 0


@pytest.mark.e2e
def test_put_get_and_list_are_enough_for_ceph(ceph, monkeypatch, tmp_path: Path) -> None:
    """The same with a policy of Ceph RGW that allows a second user just these three."""
    user, to = ceph.further_user(), ceph.store_url(ceph.new_bucket())
    bucket = to.removeprefix("s3://").partition("/")[0]
    allowed = {"Principal": {"AWS": [f"arn:aws:iam:::user/{user.user}"]}, "Effect": "Allow"}
    policy = [
        {**allowed, "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
        {
            **allowed,
            "Action": ["s3:GetObject", "s3:PutObject"],
            "Resource": f"arn:aws:s3:::{bucket}/prefix/*",
        },
    ]
    ceph.client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": policy})
    )
    user.use(monkeypatch)
    (tmp_path / "volume").mkdir()
    site = Site(tmp_path / "volume", to, tmp_path / "state")
    (site.source() / "app.log").write_text(LINES)
    assert site.once("--complete").code == 0
    with (site.source() / "app.log").open("a") as log:
        log.write(LINES)
    assert site.with_state(tmp_path / "new").once("--complete").code == 0
    assert assert_exactly_once(site.volume, to) == 2000
    assert site.verify().code == 0

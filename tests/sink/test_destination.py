"""Which store a URL means, and what is said about URLs that mean none."""

from __future__ import annotations

import pytest

from collector.errors import ConfigError
from collector.sink.destination import bucket_of, open_store, split
from collector.sink.local import LocalStore
from collector.sink.s3 import Bucket, S3Store


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("{0}/out", "out"),
        ("out", "out"),
        ("./a:b", "a:b"),
        ("file://{0}/with%20space", "with space"),
        ("file://localhost{0}/100%25", "100%"),
        ("out/", "out"),
    ],
)
def test_folders(tmp_path, monkeypatch, url, path):
    """Plain paths, also relative ones, and file: URLs are folders; nothing is made before `check`."""
    monkeypatch.chdir(tmp_path)
    url = url.format(tmp_path)
    store = open_store(url)
    assert isinstance(store, LocalStore)
    assert store.url == url
    assert list(tmp_path.iterdir()) == []
    store.check()
    assert [found.name for found in tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("s3://logs", Bucket("logs")),
        ("S3://logs/", Bucket("logs")),
        ("s3://logs/prod/eu/", Bucket("logs", "prod/eu")),
        ("s3://logs/a%20b+c", Bucket("logs", "a%20b+c")),
        ("s3://logs?region=eu-central-1", Bucket("logs", region="eu-central-1")),
        (
            "s3://my.logs_1/p?endpoint_url=http://[::1]:9000&path_style=true&checksums=when_required",
            Bucket("my.logs_1", "p", "http://[::1]:9000", None, True, "when_required"),
        ),
        (
            "s3://logs?endpoint_url=https%3A%2F%2Fs3.example.org%2Fgateway&path_style=false",
            Bucket("logs", "", "https://s3.example.org/gateway", None, False),
        ),
        ("s3://logs?checksums=when_supported", Bucket("logs", checksums="when_supported")),
    ],
)
def test_buckets(url, bucket):
    """Bucket, prefix and options are read as they are written."""
    assert bucket_of(split(url)) == bucket
    store = open_store(url)
    assert isinstance(store, S3Store)
    assert store.url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "empty"),
        ("out\0", "control characters"),
        ("s3://logs/a\nb", "control characters"),
        ("s4://logs", "no destinations of the kind s4:: write s3://bucket/prefix"),
        ("out:put", "./ before a path with a colon"),
        ("stdout:", "stdout: are not supported by this version"),
        ("otlp+http://host:4318", "not supported by this version"),
        ("kafka://host:9092/topic", "not supported by this version"),
        ("sls://project.endpoint/logstore", "not supported by this version"),
        ("s3:", "names no bucket"),
        ("s3:logs", "names no bucket: write s3://bucket/prefix"),
        ("s3:///prefix", "names no bucket"),
        ("s3://lo gs/", "bucket's name is not valid"),
        ("s3://logs/a//b", "prefix in the s3: destination is not valid"),
        ("s3://logs/../b", "prefix in the s3: destination is not valid"),
        ("s3://logs/_joblog/tmp/x", "prefix in the s3: destination is not valid"),
        ("s3://logs/a#b", "prefix in the s3: destination is not valid"),
        ("s3://[logs/", "not a valid URL"),
        ("s3://logs?endpont_url=http://x", "no option endpont_url: did you mean endpoint_url?"),
        ("s3://logs?pathstyle=true", "did you mean path_style?"),
        ("s3://logs?checksum=when_required", "did you mean checksums?"),
        ("s3://logs?region", "region is not valid"),
        ("s3://logs?region=eu west", "region is not valid"),
        ("s3://logs?region=a&region=b", "option region is there twice"),
        ("s3://logs?path_style=yes", "path_style is not valid: write true or false"),
        ("s3://logs?checksums=never", "checksums is not valid: write when_required or when_supported"),
        ("s3://logs?endpoint_url=localhost:9000", "endpoint_url is not valid: write http://host:port"),
        ("s3://logs?endpoint_url=http://", "endpoint_url is not valid"),
        ("s3://logs?endpoint_url=http://host:99999", "endpoint_url is not valid"),
        ("s3://logs?endpoint_url=http://host:http", "endpoint_url is not valid"),
        ("s3://logs?endpoint_url=http://[::1", "not a valid URL"),
        ("s3://logs?endpoint_url=http://host/%3Fx", "endpoint_url is not valid"),
        ("file://host/path", "path of this machine"),
        ("file:path", "write file:///path"),
        ("file:///path?x=1", "has no options"),
        ("file:///path%00", "control characters"),
    ],
)
def test_what_is_no_destination(url, said):
    """Each fault is a ConfigError of one line that says what is wrong and what to write."""
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA0:hunter2@logs/prefix",
        "s3://AKIA0:hun/ter2@logs/prefix",
        "s3://hunter2@logs",
        "s3://logs?endpoint_url=http://AKIA0:hunter2@host:9000",
        "s3://logs?aws_secret_access_key=hunter2",
        "s3://logs?Hunter2",
        "s3://logs?hunter2=/+",
        "s3://logs?secret_hunter2=1",
        "s3://logs?AKIA0/hunter2==",
        "s3://logs?path_style=hunter2",
        "s3://logs?region=hunter2/",
        "s3://logs?checksums=hunter2",
        "kafka://user:hunter2@host:9092/topic",
        "ftp://user:hunter2@host",
        "file://user:hunter2@host/path",
    ],
)
def test_credentials_are_refused_and_never_shown(url):
    """Whatever stands where someone may have put a secret is not in the message."""
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value).lower()
    assert "AKIA0" not in str(caught.value)

"""What every store does, asked of a folder, of moto, and (`-m e2e`) of a real Ceph RGW."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from collector.errors import ExportDamaged, ObjectMissing

MIB = 1024 * 1024
ODD_KEYS = [
    "data/with space.txt",
    "data/per%20cent.txt",
    "data/plus+and&and=.txt",
    "data/ünïcode-ß-日本.txt",
    "data/emoji-🪵.txt",
    "data/quote'\"<>.txt",
    "data/name~0123#4?5.txt",
    "_joblog/receipts/ns/ns_pod%2Fsub.vol.1.json",
]


def keys(entries) -> list[str]:
    return [entry.key for entry in entries]


def by_bytes(names) -> list[str]:
    return sorted(names, key=lambda name: name.encode())


class TestPut:
    def test_put_is_create_only(self, store):
        """A second put of a key returns False and leaves the first body as it is."""
        assert store.put_new("a/b/c.json", b"first") is True
        assert store.put_new("a/b/c.json", b"second, and longer") is False
        assert store.get("a/b/c.json") == b"first"
        assert store.size_bytes("a/b/c.json") == 5

    def test_put_after_a_note_is_create_only_too(self, store):
        """Also a store that is said to ignore conditions does not overwrite what is there."""
        store.note_unconditional()
        assert store.conditional is False
        assert store.put_new("key", b"first") is True
        assert store.put_new("key", b"second") is False
        assert store.get("key") == b"first"

    @pytest.mark.parametrize("size", [0, 1, 20 * MIB])
    def test_bodies_come_back_whole(self, store, size):
        """Empty, tiny and large bodies are there byte for byte, and as long as they are said to be."""
        body = hashlib.shake_128(b"joblog").digest(size)
        assert store.put_new("data/object", body)
        assert store.get("data/object") == body
        assert store.size_bytes("data/object") == size
        assert [entry.size_bytes for entry in store.list("data/")] == [size]

    def test_memoryview_bodies(self, store):
        """A body may be a part of a larger memory, of any item size."""
        memory = bytearray(b"0123456789abcdef")
        assert store.put_new("part", memoryview(memory)[4:10])
        assert store.put_new("wide", memoryview(memory).cast("Q"))
        assert store.get("part") == b"456789"
        assert store.get("wide") == bytes(memory)

    def test_one_of_many_racing_threads_wins(self, store):
        """Of 8 threads that put the same key at once exactly one is told True, and its body stays."""
        for number in range(5):
            barrier = threading.Barrier(8)

            def put(writer: int, key: str = f"race/{number}", barrier=barrier) -> bool:
                barrier.wait()
                return store.put_new(key, b"%d" % writer * 1000)

            with ThreadPoolExecutor(8) as pool:
                won = list(pool.map(put, range(8)))
            assert won.count(True) == 1
            assert store.get(f"race/{number}") == b"%d" % won.index(True) * 1000

    def test_one_of_racing_processes_wins(self, store, store_url):
        """Each of 10 keys that 4 processes put is won by exactly one of them."""
        script = (
            "import sys\n"
            "from collector.sink.destination import open_store\n"
            "store = open_store(sys.argv[1]); store.size_bytes('warm-up'); print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "for n in range(10):\n"
            "    if store.put_new(f'race/{n}', sys.argv[2].encode()): print(n)\n"
        )
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", script, store_url, name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in "abcd"
        ]
        assert all(racer.stdout.readline() == "ready\n" for racer in racers)
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        outputs = [racer.communicate(timeout=60)[0] for racer in racers]
        won = {number: name for name, lines in zip("abcd", outputs, strict=True) for number in lines.split()}
        assert sum(len(lines.split()) for lines in outputs) == 10
        assert {n: store.get(f"race/{n}").decode() for n in won} == won

    def test_eight_threads_put_and_get_at_once(self, store):
        """What 8 threads write at once through one store is all there, each with its own body."""

        def put_and_get(number: int) -> bool:
            body = b"%04d" % number * 2500
            return store.put_new(f"data/{number:03d}", body) and store.get(f"data/{number:03d}") == body

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(put_and_get, range(64)))
        assert keys(store.list("data/")) == [f"data/{number:03d}" for number in range(64)]

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "/etc/passwd",
            "../up",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            "a\nb",
            "_joblog/tmp/x",
            "x" * 1025,
        ],
    )
    def test_what_is_no_key_is_refused(self, store, key):
        """Keys that lead elsewhere or that not every store can hold are refused by all, for all calls."""
        for call in (store.get, store.size_bytes, lambda key: store.put_new(key, b"")):
            with pytest.raises(ExportDamaged, match="cannot be the key of an object"):
                call(key)
        assert keys(store.list("")) == []


class TestGet:
    def test_missing_objects(self, store):
        """What is not there: `get` raises ObjectMissing with the key, `size_bytes` gives None."""
        store.put_new("a/b", b"")
        for key in ("a", "a/b/c", "a/c", "z"):
            with pytest.raises(ObjectMissing, match=key):
                store.get(key)
            assert store.size_bytes(key) is None

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_odd_keys(self, store, key):
        """Spaces, per cent signs, quotes and letters of all scripts in keys come back as they were."""
        assert store.put_new(key, key.encode())
        assert not store.put_new(key, b"")
        assert store.get(key) == key.encode()
        assert store.size_bytes(key) == len(key.encode())
        assert keys(store.list("")) == [key]
        assert keys(store.list(key[:8])) == [key]
        assert keys(store.list("", after=key)) == []


class TestList:
    NAMES = ("a-b", "a.b/c", "a/b", "a/b-c", "a/b.c/d", "a0", "a/b0", "aa/b", "b/ä", "b/z", "b/日", "B")

    @pytest.fixture
    def named(self, store):
        """Names whose order as keys is not the order of their folders."""
        for name in reversed(self.NAMES):
            store.put_new(name, b"x")
        return self.NAMES

    def test_order_is_that_of_the_bytes_of_the_keys(self, store, named):
        """Listings are in key order, also across folders: `a-b` comes before `a/b`, `a/b` before `a0`."""
        assert keys(store.list("")) == by_bytes(named)

    def test_after_and_prefix(self, store, named):
        """For every prefix and every `after`, whether there or not, exactly the greater keys come."""
        for prefix in ("", "a", "a/", "a/b", "a/b.", "b/", "nothing", "a/nothing/"):
            for after in ("", "a", "a-b", "a/", "a/b", "a/b.c", "a/b.c/d", "a1", "b/z", "b/ä", "zz"):
                expected = [name for name in by_bytes(named) if name.startswith(prefix) and name > after]
                assert keys(store.list(prefix, after=after)) == expected, (prefix, after)

    def test_entries_tell_size_and_time(self, store):
        """An entry has the size of its body, and when it was written, with a time zone."""
        store.put_new("data/x", b"12345")
        (entry,) = store.list("data/")
        assert entry.size_bytes == 5
        assert abs(datetime.now(UTC) - entry.modified_at) < timedelta(minutes=5)

    def test_nothing_is_there_at_first(self, store):
        """A destination that was only checked is empty."""
        assert keys(store.list("")) == []
        assert keys(store.list("data/")) == []
        assert list(store.folders("")) == []
        assert list(store.folders("data/")) == []

    @pytest.mark.parametrize("prefix", ["../", "/", "a/../", "a//", "a/./"])
    def test_prefixes_that_no_key_has(self, store, prefix):
        """A prefix that leads elsewhere lists nothing."""
        store.put_new("a/b", b"")
        assert keys(store.list(prefix)) == []
        assert list(store.folders(prefix)) == []

    def test_listings_of_many_pages(self, store):
        """More objects than fit into one answer of S3 (1,000) all come, once each, in order."""
        names = [f"{number:04d}" for number in range(1010)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: store.put_new(f"many/{name}", b""), names))
        assert keys(store.list("many/")) == [f"many/{name}" for name in names]
        assert keys(store.list("many/", after="many/1004")) == [f"many/{name}" for name in names[1005:]]

    def test_folders(self, store):
        """Folders are the next components below a prefix, once each, in key order; objects are none."""
        for key in ("d/b/1", "d/b/2/3", "d/a/1", "d/a-b/1", "d/file", "d/ü/1", "other/x/y", "d/b c/1"):
            store.put_new(key, b"")
        assert list(store.folders("d/")) == ["a-b", "a", "b c", "b", "ü"]
        assert list(store.folders("d/b/")) == ["2"]
        assert list(store.folders("d/a/")) == []
        assert list(store.folders("")) == ["d", "other"]

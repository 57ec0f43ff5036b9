"""The commit protocol by examples: in memory where a put must go wrong, on a folder and on S3 where not."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from memory_store import MemoryStore, Outcome
from protocol_owner import NOW, batch

from collector.errors import BrokenInvariant, ExportDamaged, Fenced, StoreUnavailable
from collector.events import ShardFenced, ShardOpened, StoreUnconditional
from collector.model import Loss, Owner, VoidRecord
from collector.records import encode_record, record_key
from collector.sink.ledger import FEW, Ledger, snapshot_key
from collector.sink.retry import Retrying, RetryPolicy

LOSS = Loss("s", "f", 0, 0, 1, "deleted")


def key(sequence: int) -> str:
    return record_key("v", 0, sequence)


def ledger_on(store, instance: str = "A", *, emit=lambda event: None, **other) -> Ledger:
    """The ledger of an owner whose clock moves on with each look."""
    ticks = iter(range(10**9))
    owner = Owner(instance, f"host-{instance}", 7, "1.0")
    place = {"volume": "v", "shard": 0, **other}
    return Ledger(store, owner=owner, clock=lambda: NOW + timedelta(seconds=next(ticks)), emit=emit, **place)


def lines(start: int, end: int, instance: str = "A"):
    """What `claim` asks for: the record of lines [start, end)."""
    return lambda sequence, epoch: batch(sequence, epoch, instance, start, end)


def commit(ledger: Ledger, start: int, end: int, instance: str = "A") -> None:
    assert ledger.put_object(ledger.claim(lines(start, end, instance)), b"rows")


def kinds(ledger: Ledger) -> list[str]:
    return [record.kind for record in ledger.read(0)]


@pytest.fixture
def memory():
    return MemoryStore()


class TestTaking:
    def test_a_first_owner_opens_at_zero(self, store):
        """In an empty destination the open record is number 0, of epoch 1, and all that there is."""
        events = []
        ledger = ledger_on(store, emit=events.append)
        taken = ledger.take(seen=0)
        assert (taken.records, taken.unfinished) == ((), None)
        assert (taken.opened.sequence, taken.opened.epoch, taken.opened.owner.instance) == (0, 1, "A")
        assert (ledger.sequence, ledger.epoch) == (1, 1)
        assert list(ledger.read(0)) == [taken.opened]
        assert events == [ShardOpened("v", 0, 0, 1, "A")]
        assert store.conditional

    def test_a_later_owner_gets_what_it_has_not_seen(self, store):
        """Only the records from `seen` on are handed over, and the epoch is one more than the highest."""
        first = ledger_on(store, "A")
        opened = first.take(seen=0).opened
        commit(first, 0, 1)
        void = first.void(None, (LOSS,))
        everything = ledger_on(store, "B").take(seen=0)
        assert [record.kind for record in everything.records] == ["open", "batch", "void"]
        assert everything.records[0] == opened
        assert everything.records[2] == void
        newer = ledger_on(store, "C").take(seen=2, epoch=1)
        assert newer.records == (void, everything.opened)
        assert newer.opened.epoch == 3

    def test_the_epoch_is_right_even_if_the_checkpoint_does_not_know_it(self, store):
        """An owner that has seen everything still opens with a higher epoch than the last record's."""
        first = ledger_on(store, "A")
        first.take(seen=0)
        commit(first, 0, 1)
        assert ledger_on(store, "B").take(seen=2).opened.epoch == 2

    def test_racing_owners_all_open_and_one_stays(self, store):
        """Of 8 owners that open at once each has an epoch of its own, and only the highest is not fenced."""
        barrier = threading.Barrier(8)

        def race(number: int):
            ledger = ledger_on(store, f"owner-{number}")
            barrier.wait()
            return ledger, ledger.take(seen=0)

        with ThreadPoolExecutor(8) as pool:
            raced = list(pool.map(race, range(8)))
        assert sorted(taken.opened.epoch for _, taken in raced) == list(range(1, 9))
        unfenced = []
        for ledger, taken in sorted(raced, key=lambda each: each[1].opened.epoch):
            assert [record.epoch for record in taken.records] == list(range(1, taken.opened.epoch))
            try:
                ledger.claim(lines(0, 1, taken.opened.owner.instance))
                unfenced.append(taken.opened.epoch)
            except Fenced:
                continue
        assert unfenced == [8]

    def test_an_open_record_that_landed_unnoticed_is_ones_own(self, memory):
        """A store below that retried and met its own first attempt says "exists": it is no foreign record."""
        memory.next_put(key(0), Outcome.EXISTS)
        ledger = ledger_on(memory)
        assert ledger.take(seen=0).opened.sequence == 0
        assert ledger.sequence == 1

    def test_taking_again_after_a_lost_answer_opens_anew(self, memory):
        """Where the first open record landed after all, the next stands behind it, with a higher epoch."""
        memory.next_put(key(0), Outcome.LATE)
        ledger = ledger_on(memory)
        with pytest.raises(StoreUnavailable):
            ledger.take(seen=0)
        memory.land()
        taken = ledger.take(seen=0)
        assert [record.epoch for record in taken.records] == [1]
        assert (taken.opened.sequence, taken.opened.epoch) == (1, 2)

    def test_nothing_is_written_before_the_shard_is_taken(self, memory):
        """Without an own open record no write is fenced, so none is made; neither after a failed `take`."""
        ledger = ledger_on(memory)
        with pytest.raises(BrokenInvariant, match="before the shard was taken"):
            ledger.void(None, (LOSS,))
        memory.next_put(key(0), Outcome.LANDED)
        with pytest.raises(StoreUnavailable):
            ledger.take(seen=0)
        with pytest.raises(BrokenInvariant, match="before the shard was taken"):
            ledger.claim(lines(0, 1))
        assert list(memory.objects) == [key(0)]


class TestUnfinished:
    def left_by(self, store, instance: str = "A"):
        """A record that its owner did not live to put the object of."""
        ledger = ledger_on(store, instance)
        ledger.take(seen=0)
        return ledger.claim(lines(0, 2, instance))

    def test_the_successor_completes(self, store):
        """The last batch record whose object is missing is handed over, and no other is claimed before."""
        record = self.left_by(store)
        ledger = ledger_on(store, "B")
        assert ledger.take(seen=0).unfinished == record
        with pytest.raises(BrokenInvariant, match="number 1 is neither put nor void"):
            ledger.claim(lines(2, 3, "B"))
        assert ledger.put_object(record, b"rows")
        commit(ledger, 2, 3, "B")
        assert ledger_on(store, "C").take(seen=0).unfinished is None

    def test_the_successor_voids(self, store):
        """A void record ends the matter for every later owner too."""
        record = self.left_by(store)
        ledger = ledger_on(store, "B")
        ledger.take(seen=0)
        void = ledger.void(record.sequence, (LOSS,))
        assert (void.voids, void.sequence, void.epoch, void.losses) == (1, 3, 2, (LOSS,))
        commit(ledger, 2, 3, "B")
        assert ledger_on(store, "C").take(seen=0).unfinished is None

    def test_a_partial_void_leaves_the_rest_to_complete(self, store):
        """Where only some spans are gone, the object is still to come, also for the next owner."""
        record = self.left_by(store)
        ledger = ledger_on(store, "B")
        ledger.take(seen=0)
        assert ledger.void(record.sequence, (LOSS,), partial=True).partial
        after = ledger_on(store, "C")
        assert after.take(seen=0).unfinished == record
        assert after.put_object(record, b"the other rows")
        assert ledger_on(store, "D").take(seen=0).unfinished is None

    def test_the_old_owner_completes_late(self, store):
        """A paused owner that puts its object after its successor did changes nothing, and is told False."""
        old = ledger_on(store, "A")
        old.take(seen=0)
        record = old.claim(lines(0, 2))
        new = ledger_on(store, "B")
        new.take(seen=0)
        assert new.put_object(record, b"rows") is True
        assert old.put_object(record, b"rows, encoded otherwise") is False
        assert store.get(record.object_key) == b"rows"
        with pytest.raises(Fenced):
            old.claim(lines(2, 3))

    def test_a_record_below_seen_that_the_checkpoint_was_not_sure_of(self, store):
        """It is unfinished if its object is not there, and forgotten once a later record shows it is."""
        record = self.left_by(store)
        taken = ledger_on(store, "B").take(seen=2, unfinished=record, epoch=1)
        assert taken.unfinished == record
        last = ledger_on(store, "C")
        last.take(seen=3, unfinished=record, epoch=2)
        last.put_object(record, b"rows")
        commit(last, 2, 3, "C")
        assert ledger_on(store, "D").take(seen=2, unfinished=record, epoch=1).unfinished is None

    def test_only_what_is_unfinished_is_put_or_voided(self, memory):
        """An object without a standing record would be rows that no successor knows of."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        commit(ledger, 0, 1)
        with pytest.raises(BrokenInvariant, match="not the unfinished one"):
            ledger.put_object(batch(2, 1, "A", 1, 2), b"rows")
        with pytest.raises(BrokenInvariant, match="voided, but it is not unfinished"):
            ledger.void(1, (LOSS,))

    def test_a_record_for_another_place_is_refused(self, memory):
        """A batch record says where it stands; its object's key follows from that, so keys never meet."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        for wrong in (
            lambda n, epoch: batch(n + 1, epoch, "A", 0, 1),
            lambda n, epoch: batch(n, epoch, "B", 0, 1),
            lambda n, epoch: replace(batch(n, epoch, "A", 0, 1), object_key="data/other.parquet"),
            lambda n, epoch: replace(batch(n, epoch, "A", 0, 1), volume="w"),
        ):
            with pytest.raises(BrokenInvariant, match="made for another place"):
                ledger.claim(wrong)
        commit(ledger, 0, 1)


class TestFencing:
    def test_the_older_owner_is_fenced(self, store):
        """It learns who took over, writes no row and no record any more, and says so once."""
        events = []
        old = ledger_on(store, "A", emit=events.append)
        old.take(seen=0)
        commit(old, 0, 1)
        ledger_on(store, "B").take(seen=0)
        with pytest.raises(Fenced, match=r"taken over by B on host-B, pid 7, at 2026-11-22T09") as fenced:
            old.claim(lines(1, 2))
        assert fenced.value.exit_code == 4
        assert "only one collector" in fenced.value.hint
        before = [entry.key for entry in store.list("")]
        for write in (
            lambda: old.claim(lines(1, 2)),
            lambda: old.void(None, (LOSS,)),
            lambda: old.put_object(batch(2, 1, "A", 1, 2), b"rows"),
        ):
            with pytest.raises(Fenced):
                write()
        assert [entry.key for entry in store.list("")] == before
        assert [event.by.split()[0] for event in events if isinstance(event, ShardFenced)] == ["B"]

    def test_who_asks_is_told_of_a_later_owner(self, store):
        """Without a claim; own records, also one whose outcome is not known yet, are no later owner's."""
        old = ledger_on(store, "A")
        with pytest.raises(BrokenInvariant):
            old.expect_owned()
        old.take(seen=0)
        old.expect_owned()
        commit(old, 0, 1)
        at = old.sequence
        old.claim(lines(1, 2))
        old.sequence, sequence = at, old.sequence  # as while the put of the record goes on
        old.expect_owned()
        old.sequence = sequence
        ledger_on(store, "B").take(seen=0)
        with pytest.raises(Fenced, match="taken over by B"):
            old.expect_owned()

    def test_fenced_while_voiding(self, store):
        """An owner that finds its number taken while it gives up bytes does not give them up."""
        first = ledger_on(store, "A")
        first.take(seen=0)
        record = first.claim(lines(0, 1))
        second = ledger_on(store, "B")
        second.take(seen=0)
        third = ledger_on(store, "C")
        third.take(seen=0)
        with pytest.raises(Fenced, match="taken over by C"):
            second.void(record.sequence, (LOSS,))
        assert third.put_object(record, b"rows")
        assert "void" not in kinds(third)

    def test_a_foreign_record_without_an_open_record_is_a_broken_invariant(self, memory):
        """Nobody writes behind my open record without opening first: if one did, everything stops."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        memory.objects[key(1)] = encode_record(batch(1, 1, "B", 0, 1))
        with pytest.raises(BrokenInvariant, match="a batch record of epoch 1 stands behind the open record"):
            ledger.claim(lines(0, 1))


class TestLostAnswers:
    @pytest.mark.parametrize("outcome", [Outcome.LANDED, Outcome.LATE, Outcome.NEVER])
    def test_a_claim_is_settled_by_making_it_again(self, memory, outcome):
        """Whether the first put took effect, takes effect before the second, or never: one record stands."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        memory.next_put(key(1), outcome)
        with pytest.raises(StoreUnavailable):
            ledger.claim(lines(0, 1))
        memory.land()
        record = ledger.claim(lines(0, 1))
        assert ledger.put_object(record, b"rows")
        assert kinds(ledger) == ["open", "batch"]
        assert ledger.sequence == 2

    def test_a_claim_that_lands_behind_its_repetition(self, memory):
        """The late put meets its own repetition and does nothing."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        memory.next_put(key(1), Outcome.LATE)
        with pytest.raises(StoreUnavailable):
            ledger.claim(lines(0, 1))
        commit(ledger, 0, 1)
        memory.land()
        commit(ledger, 1, 2)
        assert kinds(ledger) == ["open", "batch", "batch"]

    def test_the_batch_may_not_change_meanwhile(self, memory):
        """Between an unknown outcome and its settling only the very same record may be written."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        memory.next_put(key(1), Outcome.LATE)
        with pytest.raises(StoreUnavailable):
            ledger.claim(lines(0, 1))
        with pytest.raises(BrokenInvariant, match="its outcome is not known yet"):
            ledger.claim(lines(0, 2))
        with pytest.raises(BrokenInvariant, match="its outcome is not known yet"):
            ledger.void(None, (LOSS,))
        memory.land()
        commit(ledger, 0, 1)

    def test_a_void_record_is_settled_too(self, memory):
        """The repetition keeps the first one's time, so that it is the same record."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        memory.next_put(key(1), Outcome.LANDED)
        with pytest.raises(StoreUnavailable):
            ledger.void(None, (LOSS,))
        void = ledger.void(None, (LOSS,))
        assert list(ledger.read(1)) == [void]
        assert isinstance(void, VoidRecord)

    def test_a_claim_that_lands_behind_a_take_over(self, memory):
        """If the successor opened first, the late put can do nothing, and its owner is fenced."""
        old = ledger_on(memory, "A")
        old.take(seen=0)
        memory.next_put(key(1), Outcome.LATE)
        with pytest.raises(StoreUnavailable):
            old.claim(lines(0, 1))
        new = ledger_on(memory, "B")
        assert new.take(seen=0).opened.sequence == 1
        memory.land()
        with pytest.raises(Fenced):
            old.claim(lines(0, 1))
        commit(new, 0, 1, "B")

    def test_a_claim_that_lands_before_a_take_over(self, memory):
        """If it lands while the successor opens, the successor meets it, reads it, and completes it."""
        old = ledger_on(memory, "A")
        old.take(seen=0)
        memory.next_put(key(1), Outcome.LATE)
        with pytest.raises(StoreUnavailable):
            old.claim(lines(0, 1))
        memory.before_put = lambda put: memory.land() if put == key(1) else None
        new = ledger_on(memory, "B")
        taken = new.take(seen=0)
        assert taken.opened.sequence == 2
        assert taken.unfinished == taken.records[1]
        assert new.put_object(taken.unfinished, b"rows")
        assert old.claim(lines(0, 1)) == taken.unfinished
        assert old.put_object(taken.unfinished, b"rows") is False

    def test_behind_a_store_that_retries(self, memory):
        """With retries below, a lost answer turns into "exists", and still each record is there once."""
        for number in range(4):
            memory.next_put(key(number), Outcome.LANDED)
        memory.next_put("data/", Outcome.LANDED)
        retrying = Retrying(
            memory, policy=RetryPolicy(attempts=3), emit=lambda event: None, random=lambda: 0.0
        )
        ledger = ledger_on(retrying)
        ledger.take(seen=0)
        record = ledger.claim(lines(0, 1))
        assert ledger.put_object(record, b"rows") is False
        ledger.void(None, (LOSS,))
        commit(ledger, 1, 2)
        assert kinds(ledger) == ["open", "batch", "void", "batch"]
        assert retrying.conditional


class TestUnconditionalStores:
    def test_it_is_recognised(self):
        """A store that creates what is there already is named, with what that weakens."""
        events = []
        store = MemoryStore(ignores_conditions=True)
        ledger = ledger_on(store, emit=events.append)
        ledger.take(seen=0)
        assert not store.conditional
        (event,) = [event for event in events if isinstance(event, StoreUnconditional)]
        assert (event.to, "at the same time" in event.weakens) == ("memory:", True)
        commit(ledger, 0, 1)
        ledger_on(store, "B", emit=events.append).take(seen=0)
        assert [type(event) for event in events].count(StoreUnconditional) == 1

    def test_two_that_met_are_told_apart_from_a_bug(self):
        """There a foreign record can stand anywhere: the owner that finds one stops, as if it was fenced."""
        store = MemoryStore(ignores_conditions=True)
        ledger = ledger_on(store)
        ledger.take(seen=0)
        store.objects[key(1)] = encode_record(batch(1, 1, "B", 0, 1))
        with pytest.raises(Fenced, match="ignores create-only puts"):
            ledger.claim(lines(0, 1))


class TestReading:
    def test_many_records_come_in_order(self, store):
        """More records than are read at once come dense and in order, from any number on."""
        ledger = ledger_on(store)
        ledger.take(seen=0)
        for number in range(2 * FEW):
            ledger.void(None, (replace(LOSS, end=number + 1),))
        assert [record.sequence for record in ledger.read(0)] == list(range(2 * FEW + 1))
        assert [record.losses[0].end for record in ledger.read(5)] == list(range(5, 2 * FEW + 1))
        assert list(ledger.read(2 * FEW + 1)) == []

    @pytest.mark.parametrize("missing", [0, 1, FEW, FEW + 5])
    def test_a_gap_is_refused(self, memory, missing):
        """A record that is missing before others is named, wherever it is; nothing is opened behind it."""
        ledger = ledger_on(memory)
        ledger.take(seen=0)
        for _ in range(FEW + 10):
            ledger.void(None, (LOSS,))
        del memory.objects[key(missing)]
        before = dict(memory.objects)
        with pytest.raises(ExportDamaged, match=key(missing)) as damaged:
            ledger_on(memory, "B").take(seen=0)
        assert "lifecycle rule" in damaged.value.hint
        assert memory.objects == before

    def test_a_checkpoint_of_another_destination_is_refused(self, memory):
        """What the checkpoint has seen must be there: another destination is no gap to fill."""
        with pytest.raises(ExportDamaged, match="the checkpoint has seen it") as damaged:
            ledger_on(memory).take(seen=5, epoch=2)
        assert "empty state folder" in damaged.value.hint
        assert memory.objects == {}

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "not valid JSON"),
            (b'{"kind": "open", "format": 1} x', "not valid JSON: trailing characters"),
            (b'{"kind": "open", "note": "\xff"}', "not valid JSON: invalid UTF-8"),
            pytest.param(b'{"note":' * 100_000, "not valid JSON: nested too deeply", id="nested"),
            (b"[]", "not a valid record: Expected `object`"),
            (b"{}", "not a valid record: kind: Expected `open`"),
            (b'{"kind": ["open"]}', "not a valid record: kind: Expected `open`"),
            (b'{"kind": "open"}', "not a valid record: Object missing"),
            (b'{"kind": "open", "volume": 1}', "not a valid record: volume: Expected `str`, got `int`"),
            (b'{"kind": "open", "volume": "v", "shard": false}', "record: shard: Expected `int`, got `bool`"),
            (b'{"kind": "merge", "format": 1}', "not a valid record"),
            (b'{"kind": "open", "format": 2}', "format 2 is newer"),
            (b'{"kind": "merge", "format": 2}', "format 2 is newer"),
        ],
    )
    def test_a_record_that_cannot_be_read_is_refused(self, memory, body, message):
        """A damaged record, or one of a future format, is refused by its key, and nothing is written."""
        ledger_on(memory).take(seen=0)
        memory.objects[key(1)] = body
        with pytest.raises(ExportDamaged, match=f"{key(1)}: .*{message}"):
            ledger_on(memory, "B").take(seen=0)
        assert list(memory.objects) == [key(0), key(1)]

    def test_a_record_under_a_foreign_key_is_refused(self, memory):
        """A record says where it stands; a copy under another number is not taken for that number's."""
        ledger_on(memory).take(seen=0)
        memory.objects[key(1)] = memory.objects[key(0)]
        with pytest.raises(ExportDamaged, match="holds the record of"):
            list(ledger_on(memory, "B").read(0))

    def test_what_is_no_record_is_left_alone(self, memory):
        """Folder markers and other people's files among the records are neither records nor gaps."""
        ledger = ledger_on(memory)
        opened = ledger.take(seen=0).opened
        for stray in ("", "README.txt", "000000000009.json.bak", "99.json", "²²²²²²²²²²²².json"):
            memory.objects[f"_joblog/commits/v/000/{stray}"] = b"stray"
        assert list(ledger.read(0)) == [opened]

    def test_a_listing_that_leaves_out_a_record_does_no_harm(self):
        """Records are asked for by number, so only the end depends on the listing; and the end is guarded."""

        class Forgetful(MemoryStore):
            def list(self, prefix, *, after=""):
                yield from (e for e in super().list(prefix, after=after) if e.key not in (key(1), key(3)))

        store = Forgetful()
        first = ledger_on(store, "A")
        first.take(seen=0)
        for _ in range(3):
            first.void(None, (LOSS,))
        taken = ledger_on(store, "B").take(seen=0)
        assert [record.sequence for record in taken.records] == [0, 1, 2, 3]
        assert taken.opened.sequence == 4

    def test_volumes_and_shards_do_not_meet(self, store):
        """Each volume name and each shard has a sequence of its own, also where one name begins another."""
        places = [("v", 0), ("v", 1), ("v-1", 0), ("v.json", 0)]
        for volume, shard in places:
            taken = ledger_on(store, volume=volume, shard=shard).take(seen=0)
            assert (taken.opened.sequence, taken.opened.epoch) == (0, 1)
        opened = json.loads(store.get("_joblog/commits/v/001/000000000000.json"))
        assert (opened["volume"], opened["shard"], opened["kind"]) == ("v", 1, "open")


class TestSnapshots:
    def test_the_newest_is_found(self, store):
        """The one with the highest number counts, whatever the order of putting."""
        ledger = ledger_on(store)
        assert ledger.newest_snapshot() is None
        for sequence in (5, 1000, 30):
            ledger.put_snapshot(sequence, b"checkpoint before %d" % sequence)
        assert ledger.newest_snapshot() == (1000, b"checkpoint before 1000")
        assert ledger_on(store, shard=1).newest_snapshot() is None

    def test_the_first_of_a_number_stays(self, store):
        """Checkpoints after the same records say the same, so the one that is there is left as it is."""
        ledger = ledger_on(store)
        ledger.put_snapshot(7, b"first")
        ledger.put_snapshot(7, b"second")
        assert store.get(snapshot_key("v", 0, 7)) == b"first"
        assert snapshot_key("v", 0, 7) == "_joblog/snapshots/v/000/000000000007.jsonl.zst"

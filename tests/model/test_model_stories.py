"""What the model found, each as the shortest story that shows it. The model itself proves the outcome: at the
end, as at every rest, the whole promise is checked.
"""

from __future__ import annotations

import pytest
from collector_model import CollectorModel

POD = "shop_load-4xk2p_10.0.0.1_10.0.0.2_node-1"


@pytest.fixture
def model():
    """A volume, a destination, and collectors; brought to rest and checked in the end."""
    begun = CollectorModel()
    begun.begins(idle=60.0, batch=2.0)
    yield begun
    begun.teardown()


def test_cut_after_its_copy_and_then_deleted(model: CollectorModel):
    """Of a finished source, a log is copied, cut and deleted between two looks: the copy goes on as that
    content, though no look saw the cut.
    """
    model.volume.append(POD, "app.log", "line")
    model.rests()
    model.volume.copytruncate(POD, "app.log", None)
    model.volume.delete(POD, "app.log")


def test_rewritten_and_deleted_while_open(model: CollectorModel):
    """Through its descriptor a deleted file shows another, longer content than was read of it: what was
    never part of the first content is not counted as lost.
    """
    model.rests()
    model.volume.append(".", "worker.log", "line")
    model.turns(seconds=0.1, times=1)
    model.volume.copytruncate(".", "worker.log", "lines")
    model.volume.delete_source(".")
    model.turns(seconds=1.0, times=2)


def test_no_receipt_before_its_losses_are_recorded(model: CollectorModel):
    """The destination hangs while the loss of a truncated half line is on its way: the receipt waits for it,
    and lists it.
    """
    model.rests()
    model.volume.append(POD, "app.log", "half")
    model.turns(seconds=1.0, times=1)
    model.volume.truncate(POD, "app.log", None)
    model.collector.store.hold()
    model.volume.bury(POD)
    model.turns(seconds=12.0, times=8)
    assert model.receipts() == []


def test_half_a_line_of_a_source_that_is_deleted(model: CollectorModel):
    """Of a source nothing but half a line was seen, and it is deleted: that is collected through the open
    descriptor, or counted as lost, and the source is not forgotten before.
    """
    model.rests()
    model.volume.append(POD, "app.log", "half")
    model.turns(seconds=1.0, times=1)
    model.volume.delete_source(POD)
    model.turns(seconds=3.0, times=3)
    model.rests()


def test_a_directory_that_goes_while_it_is_finished(model: CollectorModel):
    """A file is not at its place at the last look before the directory is gone too: no later look can tell
    more, and the source gets its receipt.
    """
    model.volume.append("stray 100%", "app.log", "line")
    model.rests()
    model.volume.delete("stray 100%", "app.log")
    model.is_killed()
    model.starts(state=10, point=None)
    model.turns(seconds=700.0, times=1)
    model.volume.delete_source("stray 100%")


def test_a_rotation_makes_no_name_shorter(model: CollectorModel):
    """The end of a rotation, a few bytes long, is deleted while the newest file begins with the same bytes:
    that is a file of its own.
    """
    model.volume.append(POD, "sub/deep.log", "empty")
    model.begins_copying(part=0.5, pick=0)
    model.volume.rotate(POD, "sub/deep.log")
    model.volume.append(POD, "sub/deep.log", "half")
    model.rests()
    model.volume.rotate(POD, "sub/deep.log")
    model.volume.append(POD, "sub/deep.log", "many")


def test_half_a_line_is_cut_while_another_file_is_moved_over_the_rotated_one(model: CollectorModel):
    """What stands where a copy of the half line might stand begins otherwise: it is a file of its own, and
    the half line counts as lost.
    """
    model.rests()
    model.volume.append(POD, "app.log", "line")
    model.volume.rotate(POD, "app.log")
    model.volume.append(POD, "app.log", "half")
    model.turns(seconds=12.0, times=1)
    model.volume.truncate(POD, "app.log", None)
    model.volume.replace(POD, "app.log.1", "half long")


def test_an_empty_directory_comes_back(model: CollectorModel):
    """A source is deleted, and is there again with an empty file: its receipt goes on, and after that a
    further run has nothing to do.
    """
    model.volume.append("stray 100%", "app.log", "line")
    model.rests()
    model.volume.delete_source("stray 100%")
    model.rests()
    model.rests()
    model.volume.touch("stray 100%", "app.log")


def test_a_name_that_led_to_two_contents(model: CollectorModel):
    """A rotated log, cut in place and written anew, is another content of the same name and inode; after a
    crash the newer one is known again, though its own generation is the lower.
    """
    model.volume.append(POD, "app.log", "line")
    model.rests()
    model.volume.truncate(POD, "app.log", None)
    model.rests()
    model.volume.rotate(POD, "app.log")
    model.rests()
    model.volume.append(POD, "app.log.1", "line")
    model.rests()
    model.volume.truncate(POD, "app.log.1", "half")
    model.rests()
    model.is_killed()


def copied_over_half_a_copy(model: CollectorModel) -> None:
    """A rotated name holds the start of the log when, between two looks, the log's copy takes that name, and
    the log is cut.
    """
    model.volume.append(POD, "app.log", "line")
    model.begins_copying(part=0.5, pick=0)
    model.volume.append(POD, "app.log", "line")
    model.runs_once(complete=False, point=None, state=0)
    model.volume.truncate(POD, "app.log.1", None)
    model.volume.copytruncate(POD, "app.log", None)


def test_a_copy_takes_the_name_of_half_a_copy(model: CollectorModel):
    """It goes on as the log, all of which it holds, not as the content that had its name, which was less."""
    copied_over_half_a_copy(model)


def test_a_copy_takes_the_name_of_half_a_copy_and_the_log_is_deleted(model: CollectorModel):
    copied_over_half_a_copy(model)
    model.volume.delete(POD, "app.log")


def test_a_copy_takes_the_name_of_half_a_copy_twice(model: CollectorModel):
    """With a look between the two, and a crash."""
    model.starts(state=0, point=None)
    model.volume.append(POD, "app.log", "line")
    model.begins_copying(part=0.5, pick=0)
    model.rewrites(kind="line", pick=0)
    model.turns(seconds=0.1, times=1)
    model.copies_and_truncates(kind=None, pick=0)
    model.rests()
    model.is_killed()
    model.copies_and_truncates(kind=None, pick=0)


def half_a_copy_is_deleted(model: CollectorModel) -> None:
    """Half of a log was copied, and collected as a file of its own."""
    model.volume.append(POD, "app.log", "line")
    model.volume.append(POD, "app.log", "line")
    model.begins_copying(part=0.5, pick=0)
    model.runs_once(complete=False, point=None, state=0)
    model.volume.delete(POD, "app.log.1")


def test_half_a_copy_is_deleted_and_the_log_rewritten(model: CollectorModel):
    """Under one name half of the log was collected and is gone, under the other the log stands on another
    inode, with more: it goes on as the log.
    """
    half_a_copy_is_deleted(model)
    model.volume.rewrite(POD, "app.log", "line")


def test_half_a_copy_is_deleted_and_a_whole_one_made(model: CollectorModel):
    """Between two looks, perhaps on the same inode: once the log is cut, the copy goes on as it."""
    half_a_copy_is_deleted(model)
    model.volume.copytruncate(POD, "app.log", "line")


def test_half_a_copy_is_deleted_and_a_whole_one_made_of_a_log_that_is_deleted(model: CollectorModel):
    half_a_copy_is_deleted(model)
    model.volume.copytruncate(POD, "app.log", None)
    model.volume.delete(POD, "app.log")


def test_half_a_copy_is_rewritten_once_the_log_is_deleted(model: CollectorModel):
    """What was collected of both begins and ends alike, but for a few bytes between: each goes on alone."""
    model.volume.append(POD, "app.log", "long")
    model.begins_copying(part=1.0, pick=0)
    model.rewrites(kind="long", pick=0)
    model.rests()
    model.volume.delete(POD, "app.log")
    model.rewrites(kind="long", pick=0)


def test_a_copy_goes_on_otherwise_than_the_log_did_unseen(model: CollectorModel):
    """The log and its copy are rewritten with different lines, and the log is deleted, between two looks: the
    copy goes on as the log.
    """
    model.volume.append(POD, "app.log", "line")
    model.rests()
    model.begins_copying(part=1.0, pick=0)
    model.rewrites(kind="line", pick=0)
    model.rewrites(kind="line", pick=1)
    model.volume.delete(POD, "app.log")


def test_a_copy_is_made_in_two_parts_far_apart(model: CollectorModel):
    """Half of it was collected as a file of its own. Once it is whole and the log is cut, it goes on as the
    log, also after a restart, though a checkpoint knows both by one name then.
    """
    model.volume.append(POD, "app.log", "line")
    model.begins_copying(part=0.5, pick=0)
    model.rests()
    model.volume.append(POD, "app.log", "line")
    model.ends_copying(kind=None)


def test_a_paused_owner_knows_only_empty_files(model: CollectorModel):
    """Its successor collected a log, which is deleted since and begun anew. The old owner wakes, and sees a
    finished source of empty files: it has nothing to commit, and writes no receipt that says so.
    """
    model.rests()
    model.is_taken_over(point=None)
    model.volume.touch("stray 100%", "app.log")
    model.rotates(kind="line", pick=0)
    model.rests()
    model.volume.bury("stray 100%")
    model.volume.delete("stray 100%", "app.log")
    model.volume.touch("stray 100%", "app.log")


def test_a_log_is_rotated_over_half_a_copy_and_rewritten(model: CollectorModel):
    """Perhaps on the inode of the half copy, which was collected as a file of its own, while another file has
    the log's name: it goes on as the log.
    """
    model.volume.touch(POD, "worker.log")
    model.volume.link(POD, "worker.log")
    model.volume.rotate(POD, "worker.log")
    model.volume.append(POD, "worker.log", "half")
    model.volume.delete(POD, "worker.log.link")
    model.volume.rewrite(POD, "worker.log", "empty")
    model.begins_copying(part=0.5, pick=0)
    model.runs_once(complete=False, point=None, state=5)
    model.rotates(kind="half", pick=0)
    model.volume.delete(POD, "worker.log.2")
    model.volume.rewrite(POD, "worker.log.1", "lines")


def test_an_empty_log_is_written_rotated_and_rewritten(model: CollectorModel):
    """All between two looks: what its descriptor still gives is what the rotated file begins with, and is
    collected once.
    """
    model.volume.touch(POD, "app.log")
    model.rests()
    model.volume.append(POD, "app.log", "half")
    model.volume.rotate(POD, "app.log")
    model.volume.rewrite(POD, "app.log.1", "line")

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

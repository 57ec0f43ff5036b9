"""`verify --volume` after a rotation that leaves an empty file under the name that was collected."""

from __future__ import annotations

import shutil

from collector_process import Site


def test_a_copy_proves_what_its_cut_file_no_longer_holds(local_site: Site) -> None:
    """After copytruncate with no line since, all collected bytes are in the copy: no difference."""
    site = local_site
    log = site.source() / "app.log"
    log.write_text("one\ntwo\n")
    assert site.once().code == 0
    shutil.copyfile(log, log.with_name("app.log.1"))
    log.write_text("")
    assert site.once("--complete").code == 0
    proof = site.verify()
    assert proof.code == 0, proof.stdout


def test_a_cut_file_without_copy_is_a_difference(local_site: Site) -> None:
    """Where nothing on the volume holds what was collected, `verify` says which bytes."""
    site = local_site
    log = site.source() / "app.log"
    log.write_text("one\ntwo\n")
    assert site.once().code == 0
    log.write_text("")
    proof = site.verify()
    assert proof.code == 1
    assert "bytes [0, 8): is in the destination, but the file is shorter" in proof.stdout

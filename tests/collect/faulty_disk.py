"""A small ext4 file system of its own, to be filled, to be turned read-only, and to die."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
AS_A_PULLED_PLUG = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH: what is not yet on the disk is lost


class Disk:
    def __init__(self, folder: Path, name: str, *, inodes: int | None) -> None:
        """Skips the test where no such file system can be made."""
        self.image, self.path = folder / f"{name}.img", folder / name
        if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
            pytest.skip("needs root and mkfs.ext4, for a file system of its own")
        with self.image.open("wb") as image:
            image.truncate(16 << 20)
        few = () if inodes is None else ("-N", str(inodes))
        subprocess.run(["mkfs.ext4", "-qF", *few, str(self.image)], check=True)
        self.path.mkdir()
        try:
            self.mount()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no loop device can be mounted here: {error.stderr.strip()}")

    def mount(self) -> None:
        """Where an error of the file system is found, it becomes read-only."""
        options = "loop,errors=remount-ro"
        subprocess.run(
            ["mount", "-o", options, str(self.image), str(self.path)],
            check=True,
            capture_output=True,
            text=True,
        )
        (self.path / "folder").mkdir(exist_ok=True)

    @property
    def folder(self) -> Path:
        """A folder on it that exists."""
        return self.path / "folder"

    def fill(self) -> None:
        """Takes every block and every inode that is left."""
        number = 0
        with suppress(OSError):
            while True:
                (self.path / f"filler-{number:04d}").touch()
                number += 1
        body = b"\1" * (1 << 20)
        with (self.path / "filler-0000").open("wb", buffering=0) as filler:
            while body:
                try:
                    filler.write(body)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    body = body[: len(body) // 2]

    def make_room(self) -> None:
        for filler in self.path.glob("filler-*"):
            filler.unlink()

    def die(self) -> None:
        """From now on everything but stat and listing is EIO."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            assert os.fstat(folder).st_dev != self.image.stat().st_dev
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", AS_A_PULLED_PLUG))
        finally:
            os.close(folder)

    def fail_to_read_only(self) -> None:
        """As when the kernel finds an error on it: read-only, though files are open for writing."""
        device = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self.path)], check=True, capture_output=True, text=True
        ).stdout.strip()
        trigger = Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel cannot be told to find an error on a file system")
        trigger.write_text("fault of a test\n")

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.path)], check=False, capture_output=True)
        if self.path.is_mount():
            subprocess.run(["umount", "-l", str(self.path)], check=True)

    def mend(self) -> None:
        """What was on the disk is there again."""
        self.unmount()
        self.mount()

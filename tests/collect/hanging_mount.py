"""A folder on a mount of its own, whose server can be stopped: whoever touches it then waits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from collector_process import wait_until


class HangingMount:
    def __init__(self, folder: Path) -> None:
        """Skips the test where nothing can be mounted."""
        if not shutil.which("bindfs") or not os.access("/dev/fuse", os.W_OK):
            pytest.skip("needs bindfs and /dev/fuse, for a mount that hangs")
        behind, self.path = folder / "behind", folder / "hanging"
        behind.mkdir()
        self.path.mkdir()
        self._server = subprocess.Popen(["bindfs", "-f", str(behind), str(self.path)])
        wait_until("the folder is mounted", self._is_mounted)

    def _is_mounted(self) -> bool:
        if self._server.poll() is not None:
            pytest.skip(f"bindfs mounts nothing here: exit code {self._server.returncode}")
        return self.path.is_mount()

    def stop(self) -> None:
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.go_on()
        subprocess.run(["umount", "--lazy", str(self.path)], check=False)
        with suppress(subprocess.TimeoutExpired):
            self._server.wait(10)
        self._server.kill()
        self._server.wait()


def waits_for_a_mount(pid: int) -> bool:
    """Whether a thread of the process waits for the answer of a file system in user space."""
    waits = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/wchan"))
    return any("fuse" in wait or wait == "request_wait_answer" for wait in waits)

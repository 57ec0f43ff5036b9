"""`joblog` that hashes no file: `python -m bench.without_receipts run …`, for what receipts cost."""

from __future__ import annotations

import sys

from collector.cli import main
from collector.intake.track import TrackedFile


def leave_out_hashes() -> None:
    tracked = TrackedFile.__init__

    def without(self: TrackedFile, *args: object, **settings: object) -> None:
        tracked(self, *args, **settings)  # type: ignore[arg-type]
        self.prefix = None

    TrackedFile.__init__ = without  # type: ignore[assignment]


if __name__ == "__main__":
    leave_out_hashes()
    sys.exit(main(sys.argv[1:]))

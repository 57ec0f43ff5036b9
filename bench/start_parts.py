"""`joblog` that writes what the parts of a start took: `python -m bench.start_parts FILE run …`.

The file holds one JSON object, CPU seconds by part: the state read from its folder, and the volume scanned.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from collector.cli import main
from collector.intake.scan import Scanner
from collector.state.folder import StateFolder

P = ParamSpec("P")
R = TypeVar("R")

LOAD, SCAN = "load", "scan"


def timed(seconds: Counter[str], part: str, call: Callable[P, R]) -> Callable[P, R]:
    @wraps(call)
    def and_noted(*args: P.args, **settings: P.kwargs) -> R:
        began = time.thread_time()
        try:
            return call(*args, **settings)
        finally:
            seconds[part] += time.thread_time() - began

    return and_noted


if __name__ == "__main__":
    took: Counter[str] = Counter({LOAD: 0, SCAN: 0})
    StateFolder.load = timed(took, LOAD, StateFolder.load)  # type: ignore[method-assign]
    Scanner.scan = timed(took, SCAN, Scanner.scan)  # type: ignore[method-assign]
    code = main(sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(took))
    sys.exit(code)

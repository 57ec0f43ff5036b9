"""Fuzzes one target: `python fuzz_one.py TARGET SECONDS CORPUS…`. New inputs go into the first corpus folder.

An input that breaks the target is written there as `crash-…`, and the exit code is not 0.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["collector"]):
    from fuzz_targets import TARGETS


def main(name: str, seconds: str, *corpus: str) -> None:
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus[0]}/", "-max_len=4096", "-timeout=10"]
    atheris.Setup([sys.argv[0], *options, *corpus], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])

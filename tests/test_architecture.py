"""The map of the code holds: who imports whom, who reads the environment and the clock, how large files are.

The import rules themselves, each with its reason, stand in pyproject.toml under `tool.importlinter`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "collector"
LONGEST_FILE_LINES = 400
NAMES_FOR_NOTHING = {
    "util",
    "utils",
    "helper",
    "helpers",
    "common",
    "base",
    "manager",
    "handler",
    "core",
    "misc",
}

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv"}
MAY_READ_ENVIRONMENT = {
    "config.py": "settings come from one place, which knows their precedence",
}

CLOCK = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "date.today",
    "time.time",
    "time.time_ns",
}
MAY_READ_CLOCK = {
    "service.py": "the clock that is passed down to everything that runs",
    "demo.py": "plays Jobs in real time, outside the collector",
    "cli": "a command that runs once and ends: it takes now, once, and passes it down",
    "generate": "stamps the lines that it invents, as any program would",
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def dotted_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every `a.b` that the code speaks of, and every `from a import b` as `a.b`, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def uses(names: set[str], allowed: dict[str, str]) -> list[str]:
    """Where the package uses one of `names`, but for the files and folders that are allowed to."""
    found = []
    for path in modules():
        place = path.relative_to(PACKAGE)
        if place.parts[0] in allowed or place.with_suffix("").parts[0] in allowed:
            continue
        for name, line in dotted_names(ast.parse(path.read_text())):
            if name in names:
                found.append(f"collector/{place}:{line}: {name}")
    return found


def test_import_rules_hold():
    """Each import follows the rules of pyproject.toml: layers, rooms, boto3, pyarrow, no cycles."""
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]


def test_only_the_settings_read_the_environment():
    """`os.environ` is read in config.py alone."""
    assert uses(ENVIRONMENT, MAY_READ_ENVIRONMENT) == []


def test_the_clock_is_passed_down():
    """The wall clock is read where something starts; everything below is told the time, as tests tell it."""
    assert uses(CLOCK, MAY_READ_CLOCK) == []


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ['A']",
        "from os import environ",
        "import os\nf(os.environ.get)",
        "import time\nf(time.time)",
    ],
)
def test_dotted_names_sees_each_way_to_write_it(code: str):
    """The two tests above see a call, a reference and an import alike."""
    assert {name for name, _ in dotted_names(ast.parse(code))} & (ENVIRONMENT | CLOCK)


def test_files_are_short():
    """No file of the package is longer than a reader wants to hold: it would be two rooms."""
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE_LINES} == {}


def test_names_say_something():
    """No module is named with a word that fits everything."""
    names = {path.stem for path in modules()} | {path.parent.name for path in modules()}
    assert names & NAMES_FOR_NOTHING == set()

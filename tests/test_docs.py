"""The documentation holds: what can be used is documented, and what is documented can be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml

from collector import config
from collector.cli.frame import joblog
from collector.events import Event
from collector.sink import destination
from collector.web.metrics import Metrics

DOCS = Path(__file__).parent.parent / "docs"
CODE = re.compile(r"`([^`]+)`")
OPTION = re.compile(r"--[a-z][a-z-]*")
HELP = {"--help"}


def page(name: str) -> str:
    path = DOCS / name
    if not path.exists():
        pytest.skip(f"there is no docs/{name}")
    return path.read_text()


def sections(text: str) -> dict[str, str]:
    """The text below each heading, up to the next one of any level; code blocks are left out."""
    parts = re.split(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each line of each table."""
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def first_cells(text: str) -> set[str]:
    """What stands in backticks in the first cells of all tables."""
    return {code for cells in rows(text) for code in CODE.findall(cells[0])}


def commands(
    path: tuple[str, ...] = (), command: click.Command = joblog
) -> Iterator[tuple[str, click.Command]]:
    if path:
        yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands((*path, name), inner)


def long_options(command: click.Command) -> set[str]:
    found = [param for param in command.params if isinstance(param, click.Option)]
    return {name for param in found for name in (*param.opts, *param.secondary_opts) if name.startswith("--")}


def test_every_command_is_documented():
    """Each command has a section, and each section about a command has its command."""
    headings = {
        title.removeprefix("joblog ")
        for title in sections(page("commands.md"))
        if title.startswith("joblog ")
    }
    assert headings == {name for name, _ in commands()}


def test_every_option_is_documented():
    """The tables of a command's section have exactly its options."""
    text = sections(page("commands.md"))
    documented = {}
    for name, _ in commands():
        documented[name] = {
            option for cell in first_cells(text[f"joblog {name}"]) for option in OPTION.findall(cell)
        }
    assert documented == {name: long_options(command) - HELP for name, command in commands()}


def test_commands_end_with_documented_help():
    """The first line of each command's help is not empty."""
    assert [name for name, command in commands() if not command.get_short_help_str()] == []


def setting_keys() -> set[str]:
    """All settings by key path, as `volumes[].path`, those of later versions included."""
    inner = {"volumes[].": config.VolumeConfig, "batch.": config.BatchConfig, "limits.": config.LimitsConfig}
    keys = config.setting_names(config.Config) - {"volumes", "batch", "limits"}
    return set(keys) | {
        around + key for around, model in inner.items() for key in config.setting_names(model)
    }


def test_every_setting_is_documented():
    """The table of settings has exactly the settings."""
    assert first_cells(sections(page("configuration.md"))["Settings"]) == setting_keys()


def example() -> str:
    found = re.search(r"```yaml\n(volumes:.*?)```", page("configuration.md"), flags=re.DOTALL)
    assert found
    return found[1]


def settings(file, options=None) -> config.Config:
    """All settings, but not whether the address of the status page is somebody's wish."""
    return replace(config.load(file, options or {}, {}), http_is_default=True)


def test_the_example_has_all_settings_with_their_defaults(tmp_path):
    """The file on the page is what one gets without it; it leaves no setting out."""
    file = tmp_path / "joblog.yaml"
    file.write_text(example())
    short = {"volume": "/mnt/joblogs", "to": "s3://logs/prod?region=eu-central-1"}
    assert settings(file) == settings(None, short)
    shape = yaml.safe_load(example())
    keys = {f"volumes[].{key}" for key in shape.pop("volumes")[0]}
    for key, value in shape.items():
        keys |= {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
    later = {f"volumes[].{row.key}" for row in config.NOT_YET if row.section is config.VolumeConfig}
    assert keys == setting_keys() - later


def test_documented_defaults_are_the_defaults(tmp_path):
    """Each default in the table of settings, given as a value, changes nothing."""
    base = {"to": "/export", "volumes": [{"path": "/logs"}]}
    plain = settings(None, {"volume": "/logs", "to": "/export"})
    for key, default, *_ in rows(sections(page("configuration.md"))["Settings"]):
        value = CODE.fullmatch(default)
        if value is None:
            continue
        around, _, name = key.strip("`").rpartition(".")
        written = {name: yaml.safe_load(value[1]) if value[1].startswith("[") else value[1]}
        file = tmp_path / "joblog.yaml"
        if around == "volumes[]":
            written = {"volumes": [{"path": "/logs", **written}]}
        file.write_text(
            yaml.safe_dump({**base, **({around: written} if around in ("batch", "limits") else written)})
        )
        assert settings(file) == plain, key


def test_every_variable_is_documented():
    """The table of options and variables has exactly the variables that are read, each with its option."""
    text = sections(page("configuration.md"))["Options and environment"]
    table = {
        CODE.findall(cells[1])[0]: CODE.findall(cells[0]) for cells in rows(text) if CODE.search(cells[1])
    }
    read = {f"JOBLOG_{name.upper()}" for name in config.OPTIONS} | {"JOBLOG_CONFIG", "JOBLOG_DEBUG"}
    for _, command in commands():
        read |= {str(param.envvar) for param in command.params if param.envvar}
    assert set(table) == read
    table.pop("JOBLOG_DEBUG")
    assert all(options == ["--" + name[7:].lower().replace("_", "-")] for name, options in table.items())


def test_every_option_of_a_destination_is_documented():
    """The table of options of `s3:` has exactly those that are read."""
    tables = sections(page("configuration.md"))["Destinations"].split("Options of `s3:`")
    assert first_cells(tables[1]) == set(destination.OPTIONS)


def event_names(kind: type[Event] = Event) -> set[str]:
    return {name for inner in kind.__subclasses__() for name in {inner.name} | event_names(inner)}


def cells_of_tables(text: str, head: str) -> set[str]:
    """What stands in backticks in the first cells of the tables whose first column has this head."""
    found: set[str] = set()
    ours = False
    for line in [*text.splitlines(), ""]:
        if not line.startswith("|"):
            ours = False
        elif not ours and line.strip("| ").split("|")[0].strip() == head:
            ours = True
        elif ours:
            found |= set(CODE.findall(line.strip("|").split("|")[0]))
    return found


def test_every_event_is_documented():
    """The tables of events in docs/operations.md have exactly the events of events.py."""
    assert cells_of_tables(page("operations.md"), "event") == event_names()


def test_every_metric_is_documented():
    """The tables of metrics in docs/operations.md have exactly the metrics of a scrape, labels aside."""
    text, _ = Metrics().render("", [], datetime(2026, 11, 22, tzinfo=UTC))
    served = set(re.findall(r"^# TYPE (\S+)", text.decode(), flags=re.MULTILINE))
    documented = {re.sub(r"\{.*\}", "", name) for name in cells_of_tables(page("operations.md"), "metric")}
    assert documented == served


def anchor_of(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", sorted(DOCS.glob("**/*.md")), ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path):
    """Each relative link names a page, and each anchor a heading, that is there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name) if name else path
        assert other.exists(), target
        anchors = {anchor_of(title) for title in sections(other.read_text())}
        assert not anchor or anchor in anchors, target

"""Settings of lines: several lines a record, and redaction."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.cli.settings import settings_from
from collector.errors import ConfigError


def faults(tmp_path: Path, lines: str, more: str = "") -> list[str]:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, lines, more)
    return [line.strip().removeprefix(f"{tmp_path}/") for line in error.value.message.splitlines()]


def loaded(tmp_path: Path, lines: str, more: str = ""):
    file = tmp_path / "joblog.yaml"
    file.write_text(f"to: /export\nvolumes:\n- path: /logs\n  {lines}\n{more}")
    return settings_from(file, {})


def test_records_of_several_lines(tmp_path: Path):
    """A pattern, and a time that has a default."""
    multiline = loaded(tmp_path, r"multiline: {start: '^\d{4}-\d\d-\d\d'}").volumes[0].multiline
    assert (multiline.start, multiline.timeout_seconds) == (r"^\d{4}-\d\d-\d\d", 5)
    assert (
        loaded(tmp_path, "multiline: {start: '^x', timeout: 500ms}").volumes[0].multiline.timeout_seconds
        == 0.5
    )


def test_redactions(tmp_path: Path):
    """A list of patterns, each with what stands there instead."""
    redact = loaded(
        tmp_path, "redact: [{pattern: 'AKIA[0-9A-Z]{16}', with: '[aws-key]'}, {pattern: x, with: ''}]"
    )
    assert [(each.pattern, each.replacement) for each in redact.volumes[0].redact] == [
        ("AKIA[0-9A-Z]{16}", "[aws-key]"),
        ("x", ""),
    ]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("multiline: {start: '('}", "joblog.yaml:4:15: volumes[0].multiline.start: is no regular expression"),
        ("multiline: {start: '^'}", "joblog.yaml:4:15: volumes[0].multiline.start: matches empty lines"),
        ("multiline: {start: '[éa]'}", "is no regular expression: a class"),
        ("multiline: {timeout: 5s}", "volumes[0].multiline.start: is required"),
        ("multiline: {start: x, timeout: 0}", "volumes[0].multiline.timeout: should be from 10ms to 1h"),
        ("multiline: {strat: x}", "volumes[0].multiline.strat: unknown key: did you mean start?"),
        ("multiline: '^x'", "joblog.yaml:4:3: volumes[0].multiline: should be settings"),
        ("redact: [{pattern: '(?=x)', with: y}]", "volumes[0].redact[0].pattern: is no regular"),
        ("redact: [{pattern: 'x*', with: y}]", "volumes[0].redact[0].pattern: matches the empty text"),
        ("redact: [{pattern: x}]", "volumes[0].redact[0].with: is required"),
        (
            f"redact: [{{pattern: x, with: {'y' * 65}}}]",
            "volumes[0].redact[0].with: should be printable, and at",
        ),
        ("redact: [{pattern: x, wiht: y}]", "volumes[0].redact[0].wiht: unknown key: did you mean with?"),
        ("redact: {pattern: x, with: y}", "volumes[0].redact: should be a list"),
    ],
)
def test_faults_have_their_place(tmp_path: Path, lines: str, fault: str):
    """Each wrong setting is a fault that names its key."""
    found = faults(tmp_path, lines)
    assert any(fault in line for line in found), found


def test_what_cannot_go_together(tmp_path: Path):
    """Raw objects are the files; CRI lines have tags to be joined by."""
    raw = faults(tmp_path, "multiline: {start: '^x'}\n  redact: [{pattern: x, with: y}]", "format: raw\n")
    assert [line.split(": ")[1] for line in raw[1:]] == ["volumes[0].multiline", "volumes[0].redact"]
    kubelet = faults(tmp_path, "multiline: {start: '^x'}\n  layout: kubelet")
    assert "volumes[0].multiline: is not possible with layout: kubelet" in kubelet[0]

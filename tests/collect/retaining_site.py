"""A site whose volume has `retention`, which is configured in a file."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from collector_process import Ended, Site

from collector.cli import main


@dataclass(frozen=True)
class RetainingSite(Site):
    """`retention` is as in the file; None: none is configured. `settings` are further ones of the volume."""

    retention: tuple[tuple[str, str], ...] | None = (("delete_after", "0s"),)
    settings: tuple[tuple[str, Any], ...] = ()

    def file(self) -> Path:
        volume = {"path": str(self.volume), "poll_interval": "20ms", **dict(self.settings)}
        if self.retention is not None:
            volume["retention"] = dict(self.retention)
        path = self.state.parent / "retention.yaml"
        path.write_text(yaml.safe_dump({"volumes": [volume], "to": self.to, "state": str(self.state)}))
        return path

    def arguments(self, *options: str) -> list[str]:
        where = ["--config", str(self.file())]
        return ["run", *where, "--http", "off", "--log-format", "json", *self.options, *options]

    def dry_run(self, *options: str) -> Ended:
        out, log = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(log):
            code = main(self.arguments("--dry-run", *options))
        return Ended(code, out.getvalue(), log.getvalue())

    def outlook(self) -> dict[str, dict[str, Any]]:
        """What `--dry-run` says, by source."""
        told = self.dry_run("--output", "json")
        assert told.code == 0, told.stderr
        return {row["source"]: row for row in json.loads(told.stdout)}


def retaining(site: Site, retention: dict[str, str] | None = None, **settings: Any) -> RetainingSite:
    wanted = {"delete_after": "0s"} if retention is None else retention
    return RetainingSite(
        site.volume, site.to, site.state, site.options, tuple(wanted.items()), tuple(settings.items())
    )


def receipts(export: Path) -> list[dict[str, Any]]:
    """All receipts of a folder, in the order of their keys."""
    found = sorted((export / "_joblog" / "receipts").rglob("*.json"))
    return [json.loads(path.read_text()) for path in found]

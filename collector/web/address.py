"""`HOST:PORT`, as a collector listens on it and as `joblog status` asks it."""

from __future__ import annotations

import re
from typing import NamedTuple

from collector.errors import ConfigError
from collector.terminal import printable

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


class Address(NamedTuple):
    """`host` has no brackets; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises ConfigError for what is no `HOST:PORT`; an IPv6 host stands in brackets."""
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match["port"]) > 65535:
            raise ConfigError(
                printable(f'"{text}" is no address to listen on'),
                hint="write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
            )
        return cls(match["six"] or match["host"], int(match["port"]))

"""The command line: `joblog COMMAND`. One module a command; `frame` is what they all stand in."""

from collector.cli.frame import main

__all__ = ["main"]

"""Values of a configuration with the place of each, so that a fault can be shown where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from collector.config_section import KeyPath
from collector.terminal import printable
from collector.value import value

LONGEST_SHOWN = 60


@value
class Place:
    """Where a value was written (`file:line:column`, an option, a variable), and how, where it is a scalar.

    `text` is as written, before `${VAR}` was filled in, so that it can be shown.
    """

    where: str
    text: str | None = None


@value
class Fault:
    where: str
    key: KeyPath
    what: str

    def __str__(self) -> str:
        parts = [self.where, written(self.key), self.what]
        return printable(": ".join(part for part in parts if part))


@dataclass(slots=True)
class Placed:
    """Values (dicts, lists, text, None), the place of each by its key path, and what is wrong with them."""

    values: dict[str, object] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    origin: str = ""

    def where(self, key: KeyPath) -> str:
        """The place of `key`, or of the nearest thing around it."""
        nearest = self._nearest(key)
        return self.places[nearest].where if nearest else self.origin

    def fault(self, key: KeyPath, what: str) -> None:
        self.faults.append(Fault(self.where(key), key, what))

    def in_order(self) -> list[Fault]:
        """The faults as the file goes, then those of the environment and of options."""
        order = {key: index for index, key in enumerate(self.places)}
        return sorted(self.faults, key=lambda fault: order.get(self._nearest(fault.key), -1))

    def _nearest(self, key: KeyPath) -> KeyPath:
        while key and key not in self.places:
            key = key[:-1]
        return key


def written(key: KeyPath) -> str:
    """A key path as people write it: `volumes[0].poll_interval`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def shown(text: str) -> str:
    """A value for a message: quoted, and short."""
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")

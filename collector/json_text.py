"""Values as JSON text, and back. What is read of a class is found out when it is first asked for."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


class Unfit(ValueError):
    """Text that is no such value. `place` says where in it: `spans.0.start`; it is empty for all of it."""

    def __init__(self, why: str, *, place: str = "") -> None:
        super().__init__(f"{place}: {why}" if place else why)
        self.why, self.place = why, place


class NotJson(Unfit):
    """Text that is no JSON at all, or more than can be read of it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not valid JSON: {why}")


def encoded(value: object) -> bytes:
    return msgspec.json.encode(value)


def indented(value: object, spaces: int) -> bytes:
    return msgspec.json.format(encoded(value), indent=spaces)


def decoded(of: type[T], text: bytes) -> T:
    """What `of` does not know is left out. Raises Unfit."""
    try:
        # As a string: in bytes, what is left out could be anything.
        return msgspec.json.decode(str(text, "utf-8"), type=of)
    except msgspec.ValidationError as error:
        raise _unfit(str(error)) from None
    except msgspec.DecodeError as error:
        raise NotJson(str(error).removeprefix("JSON is malformed: ")) from None
    except UnicodeDecodeError as error:
        raise NotJson(f"invalid UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None


def _unfit(said: str) -> Unfit:
    """Its place is told at the end: "Expected `int`, got `str` - at `$.spans[0].start`"."""
    why, _, path = said.rpartition(" - at `$")
    if not why:
        return Unfit(said)
    place = path.removesuffix("`").replace("[...]", ".*").replace("[", ".").replace("]", "")
    return Unfit(why, place=place.removeprefix("."))

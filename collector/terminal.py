"""What may reach a terminal: nothing that moves the cursor, hides text, or forges a line."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with each character that is not printable written as an escape, such as `\\x1b`.

    That covers control characters, line feeds, bidirectional marks, and bytes of names that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

"""The status page: one static file, which asks `/api/status` and writes what it gets as text."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from collector.web.answers import Answer

_INLINE = {
    "script-src": re.compile(rb"<script>(.*?)</script>", re.DOTALL),
    "style-src": re.compile(rb"<style>(.*?)</style>", re.DOTALL),
}


def _policy(page: bytes) -> str:
    """Only the page's own script and style run, named by their hashes, and only this server is asked."""
    hashes = {directive: _hash(pattern.findall(page)) for directive, pattern in _INLINE.items()}
    allowed = "; ".join(f"{directive} {found}" for directive, found in hashes.items())
    return (
        f"default-src 'none'; {allowed}; connect-src 'self'; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )


def _hash(texts: list[bytes]) -> str:
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in texts)


def _load() -> Answer:
    page = files("collector.web").joinpath("page.html").read_bytes()
    return Answer(page, "text/html; charset=utf-8", policy=_policy(page))


PAGE = _load()

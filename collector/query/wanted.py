"""Which sources a name means: a Job with all its Pods, a Pod, or a source that no layout matched."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from collector.model import Origin
from collector.value import value

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


@value
class Wanted:
    """`namespace` is "" for sources without one. `name` is a Job's, a CronJob's or a Pod's name, or,
    without a namespace, a source's; the name of an indexed Job or a CronJob also means `name-<number>`.
    """

    namespace: str
    name: str
    pod: str | None = None
    container: str | None = None

    def matches(self, origin: Origin) -> bool:
        if (origin.namespace or "") != self.namespace:
            return False
        if self.pod is not None and origin.pod != self.pod:
            return False
        if self.container is not None and origin.container != self.container:
            return False
        return self._is_named(origin)

    def _is_named(self, origin: Origin) -> bool:
        if self.name in (origin.job, origin.pod, origin.cronjob):
            return True
        if not self.namespace and origin.source == self.name:
            return True
        prefix, _, number = (origin.job or "").rpartition("-")
        return prefix == self.name and number.isascii() and number.isdigit()

    def may_be_in(self) -> Callable[[bytes], bool]:
        """Whether an encoded record can speak of it at all: says so without decoding the record."""
        if not _PLAIN.fullmatch(self.name):
            return lambda body: True
        name = self.name.encode()
        return lambda body: name in body or b'"kind":"void"' in body

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def parse_target(target: str) -> tuple[str, str]:
    """Namespace and name of `NAMESPACE/NAME`; without "/" it is the name of something without namespace."""
    namespace, slash, name = target.partition("/")
    return (namespace, name) if slash else ("", target)


def near_names(wanted: Wanted, origins: Iterable[Origin]) -> list[str]:
    """Names like the wanted one that are there, as `namespace/job`: those of its namespace first."""
    there: dict[str, set[str]] = defaultdict(set)
    for origin in origins:
        there[origin.job or origin.source].add(origin.namespace or "")
    near = difflib.get_close_matches(wanted.name, sorted(there), n=3, cutoff=0.6)
    full = [(namespace, name) for name in near for namespace in sorted(there[name])]
    full.sort(key=lambda each: each[0] != wanted.namespace)
    return [f"{namespace}/{name}" for namespace, name in full][:3]

"""Where a Job writes on a tree, by the layout: the other direction of `intake.layout`."""

from __future__ import annotations

from collections import defaultdict

from collector.errors import LayoutError
from collector.generate.specs import JobSpec
from collector.intake import spelling
from collector.intake.layout import Layout
from collector.value import value


@value
class Site:
    """`source` and `directory` are relative to the root, `files` are names in `directory`.

    All below `source` is the Job's.
    """

    source: str
    directory: str
    files: tuple[str, ...]


class Sites:
    """Gives Jobs their places. Raises LayoutError for a text that is no layout."""

    def __init__(self, text: str) -> None:
        self.layout = Layout.parse(text)
        self._levels = spelling.read(spelling.Place(text))

    def site(self, spec: JobSpec) -> Site:
        """Raises LayoutError where the layout could not read the Job's name back."""
        values = _values(spec)
        path = tuple(
            "".join(values[token.name] if isinstance(token, spelling.Field) else token for token in level)
            for level in self._levels
        )
        depth = self.layout.source_depth
        source = "/".join(path[:depth])
        if not self.layout.origin(path[:depth]).matched:
            raise LayoutError(
                f'layout "{self.layout.text}": it does not match "{source}", its own name of {spec.pod}',
                hint="put other text between its fields",
            )
        names_file = len(path) > depth and not self.layout.level_matches(len(path) - 1, path[-1])
        directory, files = (path[:-1], (path[-1],)) if names_file else (path, spec.files)
        return Site(source, "/".join(directory), files)


def _values(spec: JobSpec) -> dict[str, str]:
    """What each field is; one of the user's own is "any"."""
    known = {
        "namespace": spec.namespace,
        "pod": spec.pod,
        "container": spec.container,
        "pod_ip": spec.pod_ip,
        "node_ip": spec.node_ip,
        "node": spec.node,
        "uid": spec.uid,
        "job": spec.job,
        "index": "" if spec.index is None else str(spec.index),
        "restart": "0",
    }
    return defaultdict(lambda: "any", known)

"""Joblog: collects the logs of Kubernetes Jobs from a shared volume, exactly once, as columns."""

from importlib.metadata import version

__version__ = version("joblog-collector")

"""Joblog: collects the logs of Kubernetes Jobs from a shared volume, exactly once, as columns."""

__version__ = "0.1.0"
"""Of the package: the build reads it here, and `joblog --help` need not look it up in what is installed."""

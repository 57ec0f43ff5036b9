"""Makes log lines, and whole Jobs that come and go on a shared tree: for tests, the demo and measurements."""

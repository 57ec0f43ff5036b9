"""Columns → durable: stores, the commit protocol, shipping."""

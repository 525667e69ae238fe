"""Px: a local HTTP(S) proxy that logs in at a corporate proxy on behalf of its clients."""

__version__ = "0.1.0"

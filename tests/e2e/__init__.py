"""Px end to end, in a process of its own, on the corporate network of `tests.corpnet`."""

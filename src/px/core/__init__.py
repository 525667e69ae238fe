"""The pure part of Px: bytes and values in, bytes and values out; no sockets, clocks or files."""

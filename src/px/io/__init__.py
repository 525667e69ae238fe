"""Byte streams on the event loop: listening, relaying, tunnels, threads. Nothing here knows HTTP."""

"""Workers that are forked (Linux)."""

"""``px --top``: the status of a running Px, live in the terminal."""

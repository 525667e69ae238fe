"""``px --setup``."""

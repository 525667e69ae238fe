"""Keeps Px's own files: private, locked between processes, and written as a whole."""

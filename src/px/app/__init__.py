"""The composition root: settings in, a running Px out."""

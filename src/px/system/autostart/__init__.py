"""Registers Px with the system so that it starts when its user logs in."""

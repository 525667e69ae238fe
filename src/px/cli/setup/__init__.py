"""``px --setup``: from nothing to a Px that works, is saved, and starts at login."""

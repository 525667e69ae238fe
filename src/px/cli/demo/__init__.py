"""``px --demo``: a demonstration of a login by Px, and the upstream proxy that it uses."""

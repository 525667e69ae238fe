"""``px --env``: the settings that make a shell, a tool or a container use Px, and how to undo them."""

"""``px --import``: the settings of other programs, as settings of Px."""

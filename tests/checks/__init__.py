"""The checks of Px by itself."""

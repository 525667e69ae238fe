"""Reads the proxy settings of the system: Windows, macOS, GNOME, KDE, the environment, WPAD."""

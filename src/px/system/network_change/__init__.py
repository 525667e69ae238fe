"""Notices changes of the network, and reads the addresses of this computer."""

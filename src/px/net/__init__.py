"""Sockets: streams, connections, sessions."""

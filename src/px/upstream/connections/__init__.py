"""Connections to hops: dialing, TLS, SOCKS, and the pool of kept connections."""

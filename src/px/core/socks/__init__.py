"""SOCKS 4, 4a and 5 as bytes (RFC 1928, RFC 1929), and the login of Px at a SOCKS upstream."""

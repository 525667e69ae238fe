"""HTTP/1 as bytes: heads, fields, framing, bodies and targets (RFC 9110, RFC 9112)."""

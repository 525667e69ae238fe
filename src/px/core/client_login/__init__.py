"""Logins of clients at Px: how Px asks for a login, and verifies it."""

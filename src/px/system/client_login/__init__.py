"""Logins of clients that the operating system or its keyring verifies."""

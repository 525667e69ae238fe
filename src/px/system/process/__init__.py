"""How Px starts processes, uses their consoles and raises their limits."""

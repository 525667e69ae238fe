"""What the operating system knows: logins, tickets, private files."""

"""What clients meet: the listener, sessions, client login, requests in, answers out."""

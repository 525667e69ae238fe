"""The exchanges of Px with hops: requests, logins, answers."""

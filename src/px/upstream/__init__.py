"""What Px says to hops: requests, logins, answers."""

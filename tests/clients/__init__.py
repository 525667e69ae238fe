"""Real client programs through Px and a real Squid that requires a login.

`Site` or the origin of the corporate network serves each request, under a name that only the Squid can look
up, so that no client can bypass Px. `Way` then checks the Squid's log: every request came from the right
user, and no connection got more 407s than its scheme needs.
"""

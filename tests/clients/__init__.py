"""Real client programs through Px and a real Squid that wants a login.

Each test asks for what is served by `Site` or by the origin of the corporate network, at a name that only
the Squid can look up: what arrives has come all the way. `Way` then reads the Squid's log: every request
was the right user's, and no connection was asked for a login more often than its scheme needs.
"""

"""Choosing the route of a request: direct rules, upstream health, discovered proxies, PAC scripts."""

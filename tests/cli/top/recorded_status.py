"""A status as ``px --status --json`` prints it."""

from __future__ import annotations

from typing import Any

NOW = 1_800_000_000.0


def make_status(**changes: object) -> dict[str, Any]:
    """Return a status, with other values for some names; None takes a name away."""
    status = {
        "version": "0.1.0",
        "pid": 4711,
        "started": NOW - 7512,
        "uptime_seconds": 7512.0,
        "listen": ["127.0.0.1:3128", "[::1]:3128"],
        "discovered_proxy": "",
        "upstreams": [make_upstream()],
        "open_connections": 30,
        "open_tunnels": 22,
        "counters": {"requests": 843, "tunnels": 212, "errors": 3, "logins_accepted": 8, "logins_refused": 1},
        "problems": [],
        "active": [],
        "active_total": 0,
        "traffic": {"seconds": 10, "end": NOW + 4, "up": [1, 1], "down": [1000, 20000], "requests": [1, 50]},
    }
    return {name: value for name, value in {**status, **changes}.items() if value is not None}


def make_upstream(**changes: object) -> dict[str, Any]:
    """Return an upstream of a status."""
    upstream = {"upstream": "proxy.corp.example:8080", "state": "in use", "identity": "CORP\\alice"}
    login = {"has_logged_in": True, "method": "NTLM", "blocked": "", "ticket": ""}
    return {**upstream, **login, "latency_ms": 12.3, "offers": ["Negotiate", "NTLM"], **changes}


def make_active(target: str, **changes: object) -> dict[str, Any]:
    """Return a tunnel of a status."""
    where = {"kind": "tunnel", "method": "CONNECT", "target": target, "route": "proxy.corp.example:8080"}
    client = {"client": "127.0.0.1", "program": "curl", "user": ""}
    return {**where, **client, "since": NOW - 12, "up": 100, "down": 1000, **changes}


def make_problem(cause: str, **changes: object) -> dict[str, Any]:
    """Return a problem of a status."""
    times = {"count": 1, "first": NOW - 7000, "last": NOW - 130}
    return {"hop": "direct", "status": 502, "cause": cause, "hint": "Check the name.", **times, **changes}

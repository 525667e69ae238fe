"""``/proxy.pac``: run by a JavaScript engine, it decides as `HostRules` does."""

from __future__ import annotations

import json

import pytest
import quickjs  # type: ignore[import-untyped]

from px.core.host import is_local_target, to_plain_name
from px.core.rules.host_rules import HostRules
from px.core.rules.own_pac import format_own_pac

PROXY = "PROXY [::1]:3128"
NAMES = [
    "a",
    "localhost",
    "x.localhost",
    "corp.example",
    "x.corp.example",
    "y.x.corp.example",
    "xcorp.example",
]
NAMES += ["other.example", "build7.corp.example", "hasOwnProperty", "constructor", "bücher.example", "z.b"]
ADDRESSES = ["10.0.0.0", "10.255.255.255", "11.0.0.0", "127.9.9.9", "128.0.0.0", "169.254.1.1", "169.255.0.0"]
ADDRESSES += ["192.168.0.9", "192.168.1.9", "255.255.255.255", "0.0.0.0", "::1", "fe80::1", "2001:db8::1"]
RULES = [
    "",
    "corp.example",
    "*.corp.example",
    "=corp.example",
    "build*.corp.example:8080, *.b",
    "corp.example:8080 10.0.0.9:443 x.corp.example",
    "10/8, 192.168.0.5-192.168.0.9; 255.255.255.255",
    "<local>",
    "<-loopback>",
    "<local> <-loopback>",
    "*",
    "0.0.0.0/0",
    "bücher.example [2001:db8::1]:80",
]


def spellings(host: str) -> set[str]:
    """Return a host as browsers may pass it to a script."""
    if ":" in host:
        return {host, f"[{host}]"}
    return {host} if host[-1].isdigit() and host[0].isdigit() else {host, f"{host.upper()}."}


@pytest.mark.parametrize("text", RULES)
def test_the_script_decides_as_px_does(text: str) -> None:
    rules = HostRules.parse(text, names=True)
    context = quickjs.Context()
    context.eval(format_own_pac(rules, "[::1]:3128"))
    for host in map(to_plain_name, [*NAMES, *ADDRESSES]):
        in_url = f"[{host}]" if ":" in host else host
        for scheme, port, shown in (("http", 80, ""), ("https", 443, ""), ("http", 8080, ":8080")):
            is_local = is_local_target(host) and not rules.subtracts_loopback
            expected = "DIRECT" if is_local or rules.matches_name(host, port) else PROXY
            url = f"{scheme}://{in_url}{shown}/path?a@b:99"
            for said in spellings(host):
                answer = context.eval(f"FindProxyForURL({json.dumps(url)}, {json.dumps(said)})")
                assert answer == expected, (url, said)


def test_the_script_is_ecmascript_3_for_windows() -> None:
    script = format_own_pac(HostRules.parse("a.b c*d.e 10/8", names=True), "127.0.0.1:3128")
    for newer in (
        "let ",
        "const ",
        "=>",
        "`",
        ".indexOf([",
        ".forEach",
        ".includes",
        ".startsWith",
        ".some(",
    ):
        assert newer not in script

"""``px --env``: the settings that point a shell or a tool at this Px."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, summarize_address_range
from typing import Final

from px.config import Settings
from px.core.host import Address
from px.core.hostrules import HostRules, Intervals
from px.core.target import Authority

#: What would mean another computer, were it asked for by way of Px.
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
#: This computer, as Docker names it to containers.
_DOCKER_HOST: Final = "host.docker.internal"


@dataclass(frozen=True, slots=True)
class _Way:
    """How to reach Px, and what not to ask it for.

    Attributes:
        url: Of Px as a proxy.
        no_proxy: Comma separated.
    """

    url: str
    no_proxy: str

    @property
    def variables(self) -> Iterator[tuple[str, str]]:
        """The environment variables; some programs read those in lower case, some the others."""
        for name, value in (("http_proxy", self.url), ("https_proxy", self.url), ("no_proxy", self.no_proxy)):
            yield name, value
            yield name.upper(), value


def format_tool_settings(tool: str, settings: Settings) -> str:
    """Return the lines that do it, fit to be run by the shell or in one.

    Args:
        tool: One of the choices of the action ``env``.
        settings: Those of the Px that is meant.
    """
    host = _own_address(settings.access.listen)
    no_proxy = ",".join((*_LOCAL, *_format_no_proxy(settings.noproxy)))
    way = _Way(f"http://{Authority(str(host), settings.port)}", no_proxy)
    return "\n".join(_FORMATS[tool](way))


def _own_address(listen: tuple[Address, ...]) -> Address:
    """Return the address to use on this computer: a loopback one if Px listens there."""
    loopback: dict[int, Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}
    reached = [loopback[address.version] if address.is_unspecified else address for address in listen]
    return next((address for address in reached if address.is_loopback), reached[0])


def _format_no_proxy(rules: HostRules) -> Iterator[str]:
    """Give what programs understand: addresses, networks, names and domains; no ports, no globs in names.

    A Px that goes directly to everything is there to be used all the same.
    """
    if rules.matches_everything:
        return
    yield from _format_addresses(IPv4Address, rules.ipv4)
    yield from _format_addresses(IPv6Address, rules.ipv6)
    for name, ports in rules.domains.items():
        if ports is None:
            yield name if rules.hosts.get(name, ()) is None else f".{name}"


def _format_addresses(
    make: Callable[[int], IPv4Address | IPv6Address], intervals: Intervals
) -> Iterator[str]:
    for start, end in zip(intervals.starts, intervals.ends, strict=True):
        for network in summarize_address_range(make(start), make(end)):
            yield str(network[0] if network.num_addresses == 1 else network)


def _format_sh(way: _Way) -> Iterator[str]:
    for name, value in way.variables:
        yield f'export {name}="{value}"'
    yield '# to use it: eval "$(px --env=sh)"'


def _format_fish(way: _Way) -> Iterator[str]:
    for name, value in way.variables:
        yield f'set -gx {name} "{value}"'
    yield "# to use it: px --env=fish | source"


def _format_powershell(way: _Way) -> Iterator[str]:
    for name, value in way.variables:
        yield f"$env:{name} = '{value}'"
    yield "# to use it: px --env=powershell | Out-String | Invoke-Expression"


def _format_cmd(way: _Way) -> Iterator[str]:
    for name, value in way.variables:
        if name.isupper():  # upper and lower case are the same there
            yield f'set "{name}={value}"'
    yield "rem to use it: for /f \"delims=\" %i in ('px --env=cmd') do @%i"


def _format_git(way: _Way) -> Iterator[str]:
    yield f'git config --global http.proxy "{way.url}"'
    yield "# git takes no_proxy from the environment; to undo it: git config --global --unset http.proxy"


def _format_npm(way: _Way) -> Iterator[str]:
    yield f'npm config set proxy "{way.url}"'
    yield f'npm config set https-proxy "{way.url}"'
    yield f'npm config set noproxy "{way.no_proxy}"'
    yield "# to undo it: npm config delete proxy https-proxy noproxy"


def _format_pip(way: _Way) -> Iterator[str]:
    yield f'pip config set global.proxy "{way.url}"'
    yield "# to undo it: pip config unset global.proxy"


def _format_docker(way: _Way) -> Iterator[str]:
    port = way.url.rpartition(":")[2]
    pulls = {"http-proxy": way.url, "https-proxy": way.url, "no-proxy": way.no_proxy}
    url = f"http://{_DOCKER_HOST}:{port}"
    runs = {"httpProxy": url, "httpsProxy": url, "noProxy": way.no_proxy}
    yield "# How Docker pulls images: /etc/docker/daemon.json, then restart the daemon (not Docker Desktop:"
    yield "# it has its own settings for that)"
    yield json.dumps({"proxies": pulls}, indent=2)
    yield "# What builds and containers get: ~/.docker/config.json. This computer is another one to them, so"
    yield "# Px needs --hostonly or --gateway, and on Linux docker run needs"
    yield f"# --add-host={_DOCKER_HOST}:host-gateway"
    yield json.dumps({"proxies": {"default": runs}}, indent=2)


_FORMATS: Final[dict[str, Callable[[_Way], Iterator[str]]]] = {
    "sh": _format_sh,
    "fish": _format_fish,
    "powershell": _format_powershell,
    "cmd": _format_cmd,
    "git": _format_git,
    "npm": _format_npm,
    "pip": _format_pip,
    "docker": _format_docker,
}

"""What the settings of programs say about one Px: its address, and which targets are reached without Px."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, summarize_address_range
from typing import Any, Final
from urllib.parse import urlsplit

from px.config.settings import Settings
from px.core.host import Address
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules, Intervals

#: Names of this computer. A request for one through a proxy would mean the computer of that proxy.
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
#: The placeholders for the login in the settings: Px does not know the password.
USER: Final = "USER"
PASSWORD: Final = "PASSWORD"  # noqa: S105 - a placeholder


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The Px that programs should use.

    Attributes:
        listen: The addresses on which Px listens.
        port: The port of Px.
        noproxy: The targets that Px reaches directly.
        has_login: Whether clients have to log in to Px.
    """

    listen: tuple[Address, ...]
    port: int
    noproxy: HostRules
    has_login: bool = False

    @classmethod
    def of_settings(cls, settings: Settings) -> Endpoint:
        """Return the Px that these settings would start."""
        return cls(settings.access.listen, settings.port, settings.noproxy, not settings.client_auth.is_none)

    @classmethod
    def of_running(cls, status: Mapping[str, Any]) -> Endpoint:
        """Return the running Px that reported this status; see `px.processes.program`."""
        places = [urlsplit(f"//{place}") for place in status["listen"]]
        listen = tuple(ip_address(place.hostname or "") for place in places)
        noproxy = HostRules.parse_readable(status["noproxy"])
        return cls(listen, places[0].port or 0, noproxy, bool(status["clients_log_in"]))

    @property
    def is_local(self) -> bool:
        """Whether only programs of this computer can connect to Px."""
        return all(address.is_loopback for address in self.listen)

    @property
    def values(self) -> ProxyValues:
        """What the settings of programs say."""
        no_proxy = (*_LOCAL, *_format_no_proxy(self.noproxy))
        host = str(own_address(self.listen))
        login = f"{USER}:{PASSWORD}" if self.has_login else ""
        return ProxyValues(host=host, port=self.port, no_proxy=no_proxy, login=login)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyValues:
    """What the settings of programs say.

    Attributes:
        host: The address of Px.
        port: The port of Px.
        no_proxy: The targets that programs reach without Px.
        login: User and password for URLs, ``user:password``; empty if clients need not log in.
    """

    host: str
    port: int
    no_proxy: tuple[str, ...]
    login: str = ""

    @property
    def url(self) -> str:
        """The proxy URL of Px."""
        return self.url_at(str(Authority(self.host, self.port)))

    def url_at(self, place: str) -> str:
        """Return the proxy URL of Px for programs that know its host by another name.

        Args:
            place: Host and port in the form of a URL.
        """
        return f"http://{self.login}@{place}" if self.login else f"http://{place}"

    def command(self, kind: str) -> str:
        """Return the px command that prints these values for a kind of program."""
        return f"px --env={kind} --port={self.port}"

    @property
    def no_proxy_list(self) -> str:
        """The targets without Px, separated by commas."""
        return ",".join(self.no_proxy)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables in both cases: some programs read only one of them."""
        return make_variables(self.url, self.no_proxy_list)


def make_variables(url: str, no_proxy: str) -> dict[str, str]:
    """Return the environment variables of a proxy in both cases."""
    lower = {"http_proxy": url, "https_proxy": url, "no_proxy": no_proxy}
    return {each: value for name, value in lower.items() for each in (name, name.upper())}


def own_address(listen: tuple[Address, ...]) -> Address:
    """Return the address for programs on this computer: a loopback address if Px listens on one."""
    loopback: dict[int, Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}
    reached = [loopback[address.version] if address.is_unspecified else address for address in listen]
    return next((address for address in reached if address.is_loopback), reached[0])


def _format_no_proxy(rules: HostRules) -> Iterator[str]:
    """Yield the rules that programs understand: addresses, networks, names and domains; no ports, no globs.

    Yields nothing if the rules match everything: programs should still use such a Px.
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

"""Where Px listens and who may use it: ``listen``, ``gateway``, ``hostonly`` and ``allow`` together.

=======  ========  ==============  =====================================
gateway  hostonly  listens on      admits
=======  ========  ==============  =====================================
no       no        ``listen``      ``allow``
no       yes       all interfaces  this computer's own addresses
yes      no        all interfaces  ``allow``
yes      yes       all interfaces  this computer's own, and ``allow``
=======  ========  ==============  =====================================

Each client of Px uses the login of the user who runs Px. So `Access.warning` warns one who admits everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from px.core.host import Address, to_address
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules

#: All interfaces, including later ones. Each address covers its own version of IP only.
ALL_INTERFACES: Final[tuple[Address, ...]] = (IPv4Address("0.0.0.0"), IPv6Address("::"))  # noqa: S104

#: The addresses that ``localhost`` stands for. Programs may try either one first.
LOCALHOST: Final[tuple[Address, ...]] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))

#: Returns whether an IP address, with its zone if it has one, is this computer's own.
IsOwn = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class ListenAddresses:
    """The value of ``listen``.

    Attributes:
        addresses: The addresses to listen on.
        optional: Those of them that Px goes on without if it cannot listen there.
    """

    addresses: tuple[Address, ...]
    optional: frozenset[Address] = frozenset()

    def __str__(self) -> str:
        return ", ".join(map(str, self.addresses))


@dataclass(frozen=True, slots=True)
class Access:
    """The addresses to listen on and the clients to admit, as the four options say together.

    Attributes:
        listen: The addresses to listen on.
        allow: The rules for admitted clients; None if no rule applies or no rule is given.
        admits_own: Whether this computer's own addresses are admitted, whatever `allow` says.
        optional: Those addresses of `listen` that Px goes on without if it cannot listen there.
    """

    listen: tuple[Address, ...]
    allow: HostRules | None
    admits_own: bool
    optional: frozenset[Address] = frozenset()

    @classmethod
    def decide(cls, *, listen: ListenAddresses, gateway: bool, hostonly: bool, allow: HostRules) -> Access:
        """Return the access that the options of these names give; see the table above.

        An optional address is left out if clients that connect there would not be admitted: without it,
        programs that try it first go on to the other address.
        """
        if gateway or hostonly:
            allowed = allow if allow and gateway else None
            return cls(listen=ALL_INTERFACES, allow=allowed, admits_own=hostonly)
        useless = {address for address in listen.optional if not allow.matches_address(str(address))}
        return cls(
            listen=tuple(address for address in listen.addresses if address not in useless),
            allow=allow or None,
            admits_own=False,
            optional=listen.optional - useless,
        )

    def admits(self, peer: str, is_own: IsOwn) -> bool:
        """Return whether a client at this IP address may use Px."""
        is_allowed = self.allow is not None and self.allow.matches_address(peer)
        return is_allowed or (self.admits_own and is_own(peer))

    def is_from_here(self, peer: str, is_own: IsOwn) -> bool:
        """Return whether a client at this IP address counts as a program on this computer.

        Clients at loopback addresses always do. Clients at this computer's other addresses do with
        ``hostonly``, which admits them explicitly.
        """
        return _is_loopback(peer) or (self.admits_own and is_own(peer))

    @property
    def audience(self) -> str:
        """The clients that may use Px; completes "Px listens on ... for ..."."""
        own, allow = "this computer's own addresses", self.allow
        if allow is None:
            return own
        if allow.matches_everything:
            return "everyone who reaches it" if self._is_reachable else "this computer"
        return f"{own} and {allow}" if self.admits_own else str(allow)

    @property
    def hint(self) -> str:
        """Advice for a client that is not admitted."""
        if self.allow is None:
            return "Px runs with --hostonly, for its own computer; --gateway and --allow admit others, too."
        return "The user who runs Px can admit them with --allow."

    @property
    def warning(self) -> str:
        """The warning for the user who starts Px with this access; empty if none is needed."""
        if not (self._is_reachable and self.allow is not None and self.allow.matches_everything):
            return ""
        return (
            "everyone who reaches this computer can use your login; limit that with --allow or --client_auth"
        )

    @property
    def _is_reachable(self) -> bool:
        """Whether clients on other computers can connect."""
        return not all(address.is_loopback for address in self.listen)


@lru_cache(maxsize=1024)  # called for each connection
def _is_loopback(peer: str) -> bool:
    address = to_address(peer)
    return address is not None and address.is_loopback


def is_px_itself(target: Authority, *, listening: Collection[tuple[str, int]], is_own: IsOwn) -> bool:
    """Return whether Px itself listens at a target.

    Args:
        target: The target of a request.
        listening: The addresses and ports of Px's sockets.
        is_own: Called only if Px listens on all interfaces and the target has Px's port.
    """
    for address, port in listening:  # noqa: SIM110 - runs for each request; a generator costs twice as much
        if target.port == port and _is_same(target.host, address, is_own):
            return True
    return False


def _is_same(host: str, listening: str, is_own: IsOwn) -> bool:
    address, own = to_address(host), to_address(listening)
    if address is None or own is None:
        return host.rstrip(".") == "localhost"
    if address == own or address.is_unspecified:
        return True
    is_reached = own.is_unspecified and own.version == address.version
    return is_reached and (address.is_loopback or is_own(host))

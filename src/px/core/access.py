"""Where Px listens and who may use it: ``listen``, ``gateway``, ``hostonly`` and ``allow`` together.

=======  ========  ==============  =====================================
gateway  hostonly  listens on      admits
=======  ========  ==============  =====================================
no       no        ``listen``      ``allow``
no       yes       all interfaces  this computer's own addresses
yes      no        all interfaces  ``allow``
yes      yes       all interfaces  this computer's own, and ``allow``
=======  ========  ==============  =====================================

As each client of Px uses the login of its user, `Access.warning` is for who admits everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from px.core.host import Address, to_address
from px.core.hostrules import HostRules
from px.core.target import Authority

#: Every interface, those that come later too. Each of the two is for its own version of IP alone.
ALL_INTERFACES: Final[tuple[Address, ...]] = (IPv4Address("0.0.0.0"), IPv6Address("::"))  # noqa: S104

#: Whether an IP address, with its zone where it has one, is this computer's own.
IsOwn = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Access:
    """What the four options come to.

    Attributes:
        listen: Addresses to listen on.
        allow: Clients that are admitted; None: no rule has a say.
        admits_own: Whether this computer's own addresses are admitted, whatever `allow` says.
    """

    listen: tuple[Address, ...]
    allow: HostRules | None
    admits_own: bool

    @classmethod
    def decide(
        cls, *, listen: tuple[Address, ...], gateway: bool, hostonly: bool, allow: HostRules
    ) -> Access:
        """Return what options of these names come to; see the table above."""
        return cls(
            listen=ALL_INTERFACES if gateway or hostonly else listen,
            allow=None if hostonly and not gateway else allow,
            admits_own=hostonly,
        )

    def admits(self, peer: str, is_own: IsOwn) -> bool:
        """Whether a client at this IP address may use Px."""
        is_allowed = self.allow is not None and self.allow.matches_address(peer)
        return is_allowed or (self.admits_own and is_own(peer))

    @property
    def who(self) -> str:
        """Those who may use Px, for "Px listens on ... for ..."."""
        own, allow = "this computer's own addresses", self.allow
        if allow is None:
            return own
        if allow.matches_everything:
            return "everyone who reaches it" if self._is_reachable else "this computer"
        return f"{own} and {allow}" if self.admits_own else str(allow)

    @property
    def mend(self) -> str:
        """What to do about a client that is not admitted."""
        if self.allow is None:
            return "Px runs with --hostonly, for its own computer; --gateway and --allow admit others, too."
        return "Who runs it can admit them with --allow."

    @property
    def warning(self) -> str:
        """What has to be said to who starts Px so; empty for nothing."""
        if not (self._is_reachable and self.allow is not None and self.allow.matches_everything):
            return ""
        return (
            "everyone who reaches this computer can use your login; limit that with --allow or --client_auth"
        )

    @property
    def _is_reachable(self) -> bool:
        """Whether others than this computer's own programs can connect."""
        return not all(address.is_loopback for address in self.listen)


def is_px_itself(target: Authority, *, listening: Collection[tuple[str, int]], is_own: IsOwn) -> bool:
    """Whether a target is where Px itself listens.

    Args:
        target: Of a request.
        listening: Addresses and ports of the sockets.
        is_own: Asked only where Px listens on all interfaces, for a target with Px's own port.
    """
    for address, port in listening:  # noqa: SIM110 - asked for each request; a generator costs twice as much
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

"""Opens the sockets that Px listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address

from px.core.host import Address
from px.core.startup_errors import ConfigError, PortInUseError

#: Connections that wait to be accepted: what Linux takes at the most by default.
BACKLOG = 4096
#: SPEC 5: requests under way at a stop may end within this time.
DRAIN_SECONDS = 5.0
_ALL_IPV6 = IPv6Address("::")


def open_listening_socket(address: str, port: int, *, shares_port: bool = False) -> socket.socket:
    """Listen on an address; a second Px on the same one is refused by the system.

    Args:
        address: Of this computer.
        port: To listen on.
        shares_port: Whether to get along with others that agree; see `_sharing`.

    Raises:
        PortInUseError: Somebody listens there.
        ConfigError: The address is not one of this computer's, or the port not one of this user's.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:  # no such version of IP here
        raise _explain(error, address, port) from error
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # only connections of a Px that has ended may be in the way, not one that listens
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with _sharing([sock] if shares_port else []):
            sock.bind((address, port))
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, address, port) from error
    sock.setblocking(False)
    return sock


def open_listening_sockets(
    addresses: Sequence[Address], port: int, old: Sequence[socket.socket] = ()
) -> list[socket.socket]:
    """Listen on all these addresses, or on none.

    All of IPv6 is left out on a system that has none.

    Args:
        addresses: Of this computer.
        port: The same on all.
        old: Sockets that listen already: those with such an address and port are used again.

    Raises:
        PortInUseError: Somebody listens on one of them.
        ConfigError: One is not this computer's, or the port not one of this user's.
    """
    known = {sock.getsockname()[:2]: sock for sock in old}
    sockets: list[socket.socket] = []
    with contextlib.ExitStack() as opened, _sharing(old):
        for address in addresses:
            try:
                sock = known.get((str(address), port)) or opened.enter_context(
                    open_listening_socket(str(address), port, shares_port=bool(old))
                )
            except ConfigError as error:
                if sockets and address == _ALL_IPV6 and _lacks_address_family(error.__cause__):
                    continue
                raise
            sockets.append(sock)
        opened.pop_all()
    return sockets


@contextlib.contextmanager
def _sharing(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Have sockets agree to share their port for a moment: 127.0.0.1 and 0.0.0.0 are in each other's way."""
    for sock in sockets:
        _share_port(sock, 1)
    try:
        yield
    finally:  # lest anybody else joins them
        for sock in sockets:
            _share_port(sock, 0)


if sys.platform == "linux":

    def _share_port(sock: socket.socket, flag: int) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, flag)

else:

    def _share_port(_sock: socket.socket, _flag: int) -> None:
        """Do nothing: macOS does not need it, and Windows has no such thing; there the port is in use."""


def _lacks_address_family(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in {
        errno.EAFNOSUPPORT,
        errno.EADDRNOTAVAIL,
        getattr(errno, "WSAEAFNOSUPPORT", None),
        getattr(errno, "WSAEADDRNOTAVAIL", None),
    }


def _explain(error: OSError, address: str, port: int) -> ConfigError | PortInUseError:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
        return PortInUseError(
            f"port {port} on {address} is in use, perhaps by another Px; end it or choose another --port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortInUseError(f"port {port} on {address} may not be used by this user; choose another --port")
    return ConfigError(f"--listen={address}: cannot listen there: {(error.strerror or str(error)).lower()}")

"""Opens the sockets that Px listens on."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from ipaddress import IPv6Address

from px.core.host import Address
from px.core.startup_errors import ConfigError, PortInUseError

#: Connections that may wait to be accepted: the default maximum of Linux.
BACKLOG = 4096
#: How long pending requests may take to end when Px stops.
DRAIN_SECONDS = 5.0
_ALL_IPV6 = IPv6Address("::")
_LEFT_OUT = "Px does not listen on {}, where some programs look for localhost"


def open_listening_socket(
    address: str, port: int, option: str = "--port", *, shares_port: bool = False
) -> socket.socket:
    """Return a socket that listens on an address. The system refuses a second Px on the same port.

    Args:
        address: An address of this computer.
        port: The port.
        option: The option that names the port, for errors.
        shares_port: Whether the socket may share the port with sockets that agree; see `_sharing`.

    Raises:
        PortInUseError: Another program listens there.
        ConfigError: The address does not belong to this computer, or this user may not use the port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:  # this computer lacks that version of IP
        raise _explain(error, address, port, option) from error
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # allow the port while connections of an ended Px linger, but not while another Px listens
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with _sharing([sock] if shares_port else []):
            sock.bind((address, port))
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, address, port, option) from error
    sock.setblocking(False)
    return sock


def open_listening_sockets(
    addresses: Sequence[Address],
    port: int,
    old: Sequence[socket.socket] = (),
    option: str = "--port",
    optional: Collection[Address] = (),
) -> tuple[list[socket.socket], list[str]]:
    """Return sockets that listen on all these addresses, and warnings; or raise without opening any.

    On a system without IPv6, the address of all IPv6 interfaces and optional addresses are left out.

    Args:
        addresses: Addresses of this computer.
        port: The port, the same for all.
        old: Sockets that listen already. Those with one of the addresses and the port are used again.
        option: The option that names the port, for errors.
        optional: Addresses that are left out, with a warning, if Px cannot listen there. They may not come
            first.

    Raises:
        PortInUseError: Another program listens on one of the addresses.
        ConfigError: An address does not belong to this computer, or this user may not use the port.
    """
    known = {sock.getsockname()[:2]: sock for sock in old}
    sockets: list[socket.socket] = []
    warnings: list[str] = []
    with contextlib.ExitStack() as opened, _sharing(old):
        for address in addresses:
            try:
                sock = known.get((str(address), port)) or opened.enter_context(
                    open_listening_socket(str(address), port, option, shares_port=bool(old))
                )
            except (ConfigError, PortInUseError) as error:
                lacks_ipv6 = _lacks_address_family(error.__cause__)
                if not sockets or not (address in optional or (address == _ALL_IPV6 and lacks_ipv6)):
                    raise
                if not lacks_ipv6:
                    warnings.append(f"{_LEFT_OUT.format(address)}: {error}")
            else:
                sockets.append(sock)
        opened.pop_all()
    return sockets, warnings


@contextlib.contextmanager
def _sharing(sockets: Sequence[socket.socket]) -> Iterator[None]:
    """Let sockets share their port while the context lasts: 127.0.0.1 and 0.0.0.0 would conflict."""
    for sock in sockets:
        _share_port(sock, 1)
    try:
        yield
    finally:  # so that no other program can join them
        for sock in sockets:
            _share_port(sock, 0)


if sys.platform == "linux":

    def _share_port(sock: socket.socket, flag: int) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, flag)

else:

    def _share_port(_sock: socket.socket, _flag: int) -> None:
        """Do nothing: macOS needs no such option, and Windows has none, so that the port is in use there."""


def _lacks_address_family(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in {
        errno.EAFNOSUPPORT,
        errno.EADDRNOTAVAIL,
        getattr(errno, "WSAEAFNOSUPPORT", None),
        getattr(errno, "WSAEADDRNOTAVAIL", None),
    }


def _explain(error: OSError, address: str, port: int, option: str) -> ConfigError | PortInUseError:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
        return PortInUseError(
            f"port {port} on {address} is in use, perhaps by another Px; end it or choose another {option}"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortInUseError(
            f"port {port} on {address} may not be used by this user; choose another {option}"
        )
    return ConfigError(f"--listen={address}: cannot listen there: {(error.strerror or str(error)).lower()}")

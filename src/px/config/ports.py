"""What must be true of the ports on which Px listens: HTTP, SOCKS5 and static tunnels."""

from __future__ import annotations

from collections.abc import Sequence

from px.core.auth.policy import AuthPolicy
from px.core.rules.tunnel_list import TunnelPort
from px.core.startup_errors import ConfigError


def name_ports(port: int, socks: int, tunnels: Sequence[TunnelPort]) -> tuple[tuple[int, str], ...]:
    """Return all ports to listen on, each with the option that names it.

    Args:
        port: The port for HTTP.
        socks: The port for SOCKS5; 0: none.
        tunnels: The static tunnels.
    """
    socks_ports = ((socks, "--socks"),) if socks else ()
    return ((port, "--port"), *socks_ports, *((tunnel.port, "--tunnel") for tunnel in tunnels))


def check_ports(ports: Sequence[tuple[int, str]]) -> None:
    """Return if no port has two uses.

    Raises:
        ConfigError: Two options name the same port.
    """
    seen: dict[int, str] = {}
    for port, option in ports:
        if port in seen:
            raise ConfigError(f"{option}: port {port} is that of {seen[port]}; each needs a port of its own")
        seen[port] = option


def check_client_logins(client_auth: AuthPolicy, socks: int, tunnels: Sequence[TunnelPort]) -> None:
    """Return if the clients of all ports can log in where they have to.

    A port whose clients cannot log in would let everybody use the login of the user, so Px does not start.

    Raises:
        ConfigError: The clients of SOCKS5 or of a static tunnel cannot log in as the policy wants.
    """
    if client_auth.is_none:
        return
    if tunnels:
        raise ConfigError(
            f"--tunnel={tunnels[0]}: its clients cannot log in, and --client_auth={client_auth} wants all"
            " clients to; leave out one of them"
        )
    if socks and not client_auth.allows("basic"):
        raise ConfigError(
            f"--socks={socks}: SOCKS5 clients send their password unencrypted, as in Basic, which"
            f" --client_auth={client_auth} does not allow; allow BASIC there, or leave out --socks"
        )

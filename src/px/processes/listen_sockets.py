"""The sockets on which a Px listens, and the claim that makes it the only Px of its user on its HTTP port."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from px.core.http.target import Authority
from px.core.startup_errors import PortInUseError
from px.io.listening_socket import open_listening_sockets
from px.system.state.instance import Instance

if TYPE_CHECKING:
    from px.config.settings import Settings


class ListenSockets:
    """Listening sockets together with the claim on their port.

    Args:
        instance: The Px of this port, already claimed.
        sockets: The listening sockets.
        warnings: For the person who started Px: where Px does not listen, and why.
    """

    def __init__(
        self, instance: Instance, sockets: Sequence[socket.socket], warnings: Sequence[str] = ()
    ) -> None:
        self.instance = instance
        self.sockets = sockets
        self.warnings = tuple(warnings)
        # Read now: a Px that drains still reports where it listened, and a closed socket has no address.
        self._places = [Authority(*sock.getsockname()[:2]) for sock in sockets]

    @classmethod
    def take(cls, settings: Settings, state: Path, old: ListenSockets | None = None) -> ListenSockets:
        """Open the sockets that the settings ask for, and claim the port for HTTP.

        Args:
            settings: The settings of Px.
            state: The state directory.
            old: The present sockets; those that the settings also ask for are shared. In the end the caller
                has to call `leave_to` on one of the two objects with the other one.

        Raises:
            StartupError: Another program listens there, or Px is not allowed to.
        """
        instance = old.instance if old and old.instance.port == settings.port else None
        claimed = instance or Instance(state, settings.port)
        if instance is None:
            claimed.claim()
        try:
            sockets, warnings = _open_sockets(settings, old.sockets if old else ())
        except BaseException as error:
            if instance is None:
                claimed.release()
            elif sys.platform == "win32" and isinstance(error, PortInUseError):
                raise PortInUseError(f"{error}; on Windows, move Px there by --restart") from None
            raise
        return cls(claimed, sockets, warnings)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Addresses for HTTP, for people."""
        return tuple(place.host for place in self._find_places(self.instance.port))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses and the port for HTTP, for people."""
        return self.addresses_at(self.instance.port)

    def addresses_at(self, port: int) -> tuple[str, ...]:
        """Return the addresses of one of the ports, each with the port, for people."""
        return tuple(map(str, self._find_places(port)))

    def _find_places(self, port: int) -> list[Authority]:
        return [place for place in self._places if place.port == port]

    def shut(self) -> None:
        """Close the sockets but keep the claim. Workers have duplicates, which they close themselves."""
        for sock in self.sockets:
            sock.close()

    def leave_to(self, heir: ListenSockets) -> None:
        """Close the sockets and release the claim, except those that the heir shares."""
        for sock in self.sockets:
            if sock not in heir.sockets:
                sock.close()
        if heir.instance is not self.instance:
            self.instance.release()

    def __repr__(self) -> str:
        return f"<ListenSockets {self.instance}>"


def _open_sockets(settings: Settings, old: Sequence[socket.socket]) -> tuple[list[socket.socket], list[str]]:
    """Return the listening sockets of all ports, and warnings; or raise without opening any."""
    access = settings.access
    sockets: list[socket.socket] = []
    warnings: list[str] = []
    with contextlib.ExitStack() as opened:
        for port, option in settings.ports:
            found, said = open_listening_sockets(access.listen, port, old, option, access.optional)
            warnings += said
            for sock in found:
                if sock not in old:
                    opened.enter_context(sock)
            sockets += found
        opened.pop_all()
    return sockets, warnings

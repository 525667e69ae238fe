"""Where a Px listens: its sockets, and that it is the one Px of its user on their port."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from px.core.startup_errors import PortInUseError
from px.core.target import Authority
from px.net.listening_socket import open_listening_sockets
from px.system.instance import Instance

if TYPE_CHECKING:
    from px.config import Settings


class Station:
    """A place to listen, taken.

    Args:
        instance: Claimed.
        sockets: That listen.
    """

    def __init__(self, instance: Instance, sockets: Sequence[socket.socket]) -> None:
        self.instance = instance
        self.sockets = sockets

    @classmethod
    def take(cls, settings: Settings, state: Path, old: Station | None = None) -> Station:
        """Return the place where these settings want to listen.

        Args:
            settings: Of the Px.
            state: The state directory.
            old: Where it listens now; what fits both is used for both. One of the two has to
                `leave_to` the other in the end.

        Raises:
            StartupError: Somebody else listens there, or Px may not.
        """
        instance = old.instance if old and old.instance.port == settings.port else None
        claimed = instance or Instance(state, settings.port)
        if instance is None:
            claimed.claim()
        try:
            sockets = open_listening_sockets(
                settings.access.listen, settings.port, old.sockets if old else ()
            )
        except BaseException as error:
            if instance is None:
                claimed.release()
            elif sys.platform == "win32" and isinstance(error, PortInUseError):
                raise PortInUseError(f"{error}; on Windows Px itself goes there by --restart") from None
            raise
        return cls(claimed, sockets)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Addresses, for people."""
        return tuple(str(sock.getsockname()[0]) for sock in self.sockets)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses and ports, for people."""
        return tuple(str(Authority(*sock.getsockname()[:2])) for sock in self.sockets)

    def shut(self) -> None:
        """Listen no more, but stay the one Px here. Workers have the sockets, too, until they shut them."""
        for sock in self.sockets:
            sock.close()

    def leave_to(self, heir: Station) -> None:
        """Give up what the heir does not have as well."""
        for sock in self.sockets:
            if sock not in heir.sockets:
                sock.close()
        if heir.instance is not self.instance:
            self.instance.release()

    def __repr__(self) -> str:
        return f"<Station {self.instance}>"

"""A Px of its own for a check or one program: in this process, and gone afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from px.app.px import Px
from px.core.auth.policy import AuthPolicy
from px.core.http.target import Authority
from px.core.rules.host_rules import HostRules
from px.core.secret import Secret
from px.io.listening_socket import open_listening_socket
from px.system.state.installation import load_installation

if TYPE_CHECKING:
    from px.config.settings import Settings
    from px.logs.access_log import Sink

_LOOPBACK: Final = "127.0.0.1"
#: A test leaves no request behind that would need longer.
_STOP_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ClientLogin:
    """A login for the clients of one Px.

    Attributes:
        user: The user name.
        password: The password; for this Px only.
    """

    user: str
    password: str = field(repr=False)


@contextlib.asynccontextmanager
async def running_fresh_px(
    settings: Settings,
    state: Path,
    *,
    login: ClientLogin | None = None,
    access_sink: Sink | None = None,
    most_failed_logins: int | None = 1,
) -> AsyncIterator[tuple[Px, Authority]]:
    """Run a Px for this computer alone; yield the Px and its address.

    Args:
        settings: Say which way requests take and who logs in. The rules for clients do not count, and the
            port only as that of a Px, which is never an upstream.
        state: The state directory: all Px of a user share the record of refused logins.
        login: The login that clients need; None: they need none.
        access_sink: Receives the access log; None: there is no access log.
        most_failed_logins: How many logins of Px may fail; None: as many as for any Px.
    """
    listening = open_listening_socket(_LOOPBACK, 0)
    address = Authority(_LOOPBACK, int(listening.getsockname()[1]))
    px = Px(_for_clients(settings, login), [listening], state, load_installation(state), access_sink)
    if most_failed_logins is not None:
        px.limit_failed_logins(most_failed_logins)
    serving = asyncio.create_task(px.serve())
    try:
        yield px, address
    finally:
        await px.stop(_STOP_SECONDS)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _for_clients(settings: Settings, login: ClientLogin | None) -> Settings:
    allow = HostRules.parse(_LOOPBACK, names=False)
    settings = replace(settings, allow=allow, client_auth=AuthPolicy.parse_list("NONE"), workers=1)
    if login is None:
        return settings
    return replace(
        settings,
        client_auth=AuthPolicy.parse_list("BASIC"),
        client_username=login.user,
        client_password=Secret(login.password),
        client_nosspi=True,
    )

"""A Px that requires a login of its clients, and the ways in which curl and another Px log in there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.system_programs import SYSTEM_PATH
from tests.px_process import PxProcess

from .logins import Kerberos, kerberos_environment

USER, PASSWORD = "alice", "clear-password"
_STATUS = re.compile(r"^< HTTP/1\.1 (\d{3})", re.MULTILINE)


@dataclass(frozen=True)
class Way:
    """One way to log in at Px.

    Attributes:
        curl: Options of curl.
        first: The number of 407s for curl's first request on a connection.
        later: The number of 407s for each later request.
        auth: ``--auth`` of a Px that logs in this way; empty: a Px cannot log in this way.
        offered: ``--client_auth`` of the Px at which the client logs in.
        ticket: Whether the client has a ticket, and the Px a keytab; otherwise both have the password.
    """

    curl: tuple[str, ...]
    first: int
    later: int
    auth: str = ""
    offered: str = "ANY"
    ticket: bool = False

    def statuses(self, requests: int) -> list[int]:
        """Return the statuses that curl sees in this many successful requests over one connection."""
        return [*[407] * self.first, 200, *[*[407] * self.later, 200] * (requests - 1)]

    def credentials(self, password: str = PASSWORD, user: str = USER) -> tuple[str, ...]:
        """Return curl's options for the login."""
        return (*self.curl, "--proxy-user", ":" if self.ticket else f"{user}:{password}")


#: curl sends NTLM, a ticket or Basic before the first 407. It fetches a Digest nonce for each URL. With
#: --proxy-anyauth it prefers Digest to NTLM.
WAYS = {
    "basic": Way(("--proxy-basic",), 0, 0, "ONLYBASIC"),
    "digest": Way(("--proxy-digest",), 1, 1, "ONLYDIGEST"),
    "ntlm": Way(("--proxy-ntlm",), 1, 0, "ONLYNTLM"),
    "ticket": Way(("--proxy-negotiate",), 0, 0, "ONLYKERBEROS", ticket=True),
    "any": Way(("--proxy-anyauth",), 1, 1, "ANY"),
    "any-with-ticket": Way(("--proxy-anyauth",), 1, 0, "ANY", ticket=True),
}
#: NTLM inside Negotiate, which curl does not support.
NTLM_IN_NEGOTIATE = Way((), 0, 0, "ONLYNEGOTIATE", offered="NEGOTIATE")


def ticket_environment(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """Return the environment of a client that has a ticket for alice."""
    return kerberos_environment(Kerberos.TICKET, network.mit.realm, network.mit.alice, directory)


def login_px_environment(network: CorporateNetwork, *, ticket: bool) -> dict[str, str]:
    """Return the environment of a Px that verifies its clients, with a keytab or with the password."""
    names = network.nss_wrapper_env()
    if ticket:
        return {**names, **network.mit.realm.env, "KRB5_KTNAME": f"FILE:{network.mit.keytab}"}
    return {**names, "PX_CLIENT_PASSWORD": PASSWORD, "KRB5_KTNAME": "FILE:/nowhere/keytab"}


@contextmanager
def running_login_px(
    network: CorporateNetwork, directory: Path, way: Way, *arguments: str, **environment: str
) -> Iterator[PxProcess]:
    """Yield a Px that connects to origins directly and whose clients log in this way."""
    directory.mkdir(exist_ok=True)
    options = ["--noproxy=*", f"--client_auth={way.offered}", f"--client_username={USER}", "--verbose"]
    variables = {**login_px_environment(network, ticket=way.ticket), **environment}
    with PxProcess(directory, *options, *arguments, environment=variables) as px:
        yield px


@dataclass(frozen=True)
class CurlRun:
    """The result of one run of curl.

    Attributes:
        statuses: The statuses of all answers, from the proxy and the origin, in order.
        body: The output of curl.
        connections: The number of connections that curl opened.
    """

    statuses: list[int]
    body: str
    connections: int

    @property
    def challenges(self) -> int:
        """The number of times that Px asked curl for a login."""
        return self.statuses.count(407)


def run_curl(proxy: str, *options: str, env: dict[str, str] | None = None) -> CurlRun:
    """Run curl through a proxy; the options include the URLs."""
    done = subprocess.run(
        ["curl", "-sv", "-m", "60", "--noproxy", "", "-x", proxy, *options],
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",  # bodies may have any bytes
        check=False,
    )
    statuses = [int(status) for status in _STATUS.findall(done.stderr) if status != "100"]
    return CurlRun(statuses, done.stdout, done.stderr.count(" Connected to "))

"""A Px that has its clients log in, and the ways to do that of curl and of another Px."""

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
        first: 407s that curl's first request on a connection costs.
        later: 407s of each request after it.
        auth: ``--auth`` of a Px that logs in so; empty: no Px does.
        offered: ``--client_auth`` of the Px that is logged in to.
        ticket: Whether it is by a ticket, for the keytab that the Px then has; else by the password.
    """

    curl: tuple[str, ...]
    first: int
    later: int
    auth: str = ""
    offered: str = "ANY"
    ticket: bool = False

    def statuses(self, requests: int) -> list[int]:
        """Return what curl meets that makes so many requests over one connection, all of them let in."""
        return [*[407] * self.first, 200, *[*[407] * self.later, 200] * (requests - 1)]

    def credentials(self, password: str = PASSWORD, user: str = USER) -> tuple[str, ...]:
        """Return curl's options for the login."""
        return (*self.curl, "--proxy-user", ":" if self.ticket else f"{user}:{password}")


#: curl begins with NTLM, a ticket or Basic unasked; it fetches a nonce for each URL. Of any it takes Digest
#: before NTLM.
WAYS = {
    "basic": Way(("--proxy-basic",), 0, 0, "ONLYBASIC"),
    "digest": Way(("--proxy-digest",), 1, 1, "ONLYDIGEST"),
    "ntlm": Way(("--proxy-ntlm",), 1, 0, "ONLYNTLM"),
    "ticket": Way(("--proxy-negotiate",), 0, 0, "ONLYKERBEROS", ticket=True),
    "any": Way(("--proxy-anyauth",), 1, 1, "ANY"),
    "any-with-ticket": Way(("--proxy-anyauth",), 1, 0, "ANY", ticket=True),
}
#: curl cannot do this one: NTLM inside Negotiate.
NTLM_IN_NEGOTIATE = Way((), 0, 0, "ONLYNEGOTIATE", offered="NEGOTIATE")


def ticket_environment(network: CorporateNetwork, directory: Path) -> dict[str, str]:
    """Return the environment of a client with a ticket of alice's."""
    return kerberos_environment(Kerberos.TICKET, network.mit.realm, network.mit.alice, directory)


def door_environment(network: CorporateNetwork, *, ticket: bool) -> dict[str, str]:
    """Return the environment of a Px whose clients log in: it has a keytab or the password."""
    names = network.nss_wrapper_env()
    if ticket:
        return {**names, **network.mit.realm.env, "KRB5_KTNAME": f"FILE:{network.mit.keytab}"}
    return {**names, "PX_CLIENT_PASSWORD": PASSWORD, "KRB5_KTNAME": "FILE:/nowhere/keytab"}


@contextmanager
def running_door(
    network: CorporateNetwork, directory: Path, way: Way, *arguments: str, **environment: str
) -> Iterator[PxProcess]:
    """Give a Px that goes to origins directly, for clients that log in this way."""
    directory.mkdir(exist_ok=True)
    options = ["--noproxy=*", f"--client_auth={way.offered}", f"--client_username={USER}", "--verbose"]
    variables = {**door_environment(network, ticket=way.ticket), **environment}
    with PxProcess(directory, *options, *arguments, environment=variables) as px:
        yield px


@dataclass(frozen=True)
class CurlRun:
    """What curl met.

    Attributes:
        statuses: Of all answers, the proxy's and the origin's, in order.
        body: What was printed.
        connections: How many it opened.
    """

    statuses: list[int]
    body: str
    connections: int

    @property
    def challenges(self) -> int:
        """How often it was asked for a login."""
        return self.statuses.count(407)


def run_curl(proxy: str, *options: str, env: dict[str, str] | None = None) -> CurlRun:
    """Run curl by way of a proxy; the URLs are among the options."""
    done = subprocess.run(
        ["curl", "-sv", "-m", "60", "--noproxy", "", "-x", proxy, *options],
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",  # bodies may be anything
        check=False,
    )
    statuses = [int(status) for status in _STATUS.findall(done.stderr) if status != "100"]
    return CurlRun(statuses, done.stdout, done.stderr.count(" Connected to "))

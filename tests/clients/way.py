"""The route of a request: Px, logged in at one port of a Squid, and the log of that Squid."""

from __future__ import annotations

import collections
import http.client
import time
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

from tests.corpnet.access_log import LogEntry
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Upstream
from tests.px_process import PxProcess

WAIT_SECONDS = 10.0
_LOGIN_REQUIRED = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED


@dataclass(frozen=True)
class Login:
    """A way to log in.

    Attributes:
        upstream: Name of the Squid's port in `CorporateNetwork`.
        scheme: The scheme on the wire.
        challenges: The number of 407s for a new connection.
        log_name: The name of the user in the Squid's log.
    """

    upstream: str
    scheme: str
    challenges: int
    log_name: str


NTLM = Login("ntlm", "ntlm", 1, r"ADTEST\alice")
KERBEROS = Login("negotiate", "negotiate", 0, r"ADTEST\alice")
STRONGEST = Login("multi", "negotiate", 0, r"ADTEST\alice")


class Way:
    """One Px and one port of a Squid.

    The first contact (`greet`) leaves a connection that is logged in. The client's first request must use
    that connection, without a 407. Every other connection must cost exactly the 407s that its scheme needs.
    Without `greet`, each request before the first answer costs one more 407.
    """

    def __init__(self, network: CorporateNetwork, px: PxProcess, login: Login) -> None:
        self.network = network
        self.px = px
        self.login = login
        self.upstream: Upstream = getattr(network, login.upstream)
        self._mark = self.upstream.log.mark()
        self._greeted = ""

    @property
    def proxy_env(self) -> dict[str, str]:
        """The variables from which most programs take their proxy."""
        return {"http_proxy": self.px.url, "https_proxy": self.px.url, "no_proxy": ""}

    def greet(self) -> None:
        """Make the first contact, which costs one 407 more than a later new connection."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.px.port, timeout=20)) as connection:
            connection.request("GET", self.network.origin.url("/status/200", host="origin.test"))
            response = connection.getresponse()
            body = response.read()
            assert response.status == HTTPStatus.OK, body
        entries = self.upstream.log.wait_for(self.login.challenges + 2, self._mark)
        statuses = [entry.status for entry in entries]
        assert statuses == [_LOGIN_REQUIRED] * (self.login.challenges + 1) + [HTTPStatus.OK]
        (self._greeted,) = {entry.client for entry in entries}
        self._mark = self.upstream.log.mark()

    def arrived(self, *requests: str) -> list[LogEntry]:
        """Check the client's requests in the Squid's log, and return them without the 407s.

        Args:
            requests: Requests that must be among them, each as often as given: method, blank, URL without the
                query, which Squid does not log (for CONNECT: host and port). Only admitted requests count.
        """
        wanted = collections.Counter(request.partition("?")[0] for request in requests)
        deadline = time.monotonic() + WAIT_SECONDS
        while missing := self._missing(wanted):
            seen = self.upstream.log.entries_since(self._mark)
            assert time.monotonic() < deadline, f"{missing} not among {seen}"
        self._check_logins()
        return self._let_through()

    def count_407(self) -> int:
        """Count the 407s since the greeting."""
        return self.upstream.log.count_407(self._mark)

    def _missing(self, wanted: collections.Counter[str]) -> list[str]:
        """Return the requests that are not in the log yet, and the greeting's connection if it is unused.

        Uploads do not use that connection: a request that Px must not send twice goes over a fresh one.
        """
        found = self._let_through()
        missing = [*(wanted - collections.Counter(map(_describe, found)))]
        is_upload = all(request.startswith(("PUT ", "POST ")) for request in wanted)
        if self._greeted and not is_upload and self._greeted not in {entry.client for entry in found}:
            missing.append(f"a request over {self._greeted}, which was logged in")
        return missing

    def _let_through(self) -> list[LogEntry]:
        entries = self.upstream.log.entries_since(self._mark)
        return [entry for entry in entries if entry.status != _LOGIN_REQUIRED]

    def _check_logins(self) -> None:
        """Check that each connection logged in as the right user, with no more 407s than its scheme needs."""
        connections: dict[str, list[LogEntry]] = {}
        for entry in self.upstream.log.entries_since(self._mark):
            connections.setdefault(entry.client, []).append(entry)
        for client, entries in connections.items():
            is_kept = client == self._greeted
            # A verification begins without a login, too.
            begins_without = entries[0].login_scheme == "-" and entries[0].status == _LOGIN_REQUIRED
            is_first_contact = begins_without and (not self._greeted or entries[0].method == "TRACE")
            needed = 0 if is_kept else self.login.challenges + is_first_contact
            head, rest = entries[:needed], entries[needed:]
            assert [entry.status for entry in head] == [_LOGIN_REQUIRED] * needed, entries
            assert _LOGIN_REQUIRED not in [entry.status for entry in rest], entries
            assert {entry.user for entry in rest} <= {self.login.log_name}, entries
            first = entries[0].login_scheme
            assert first == ("-" if is_kept or is_first_contact else self.login.scheme), entries


def _describe(entry: LogEntry) -> str:
    return f"{entry.method} {entry.url.rstrip('?')}"

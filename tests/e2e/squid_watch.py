"""Reads the records that Squid and the domain keep of a test's requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.corpnet.access_log import LogEntry
from tests.corpnet.kerberos import User
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Upstream

from .lockout_runs import note_figure

LOGIN_REQUIRED = 407
_POLL_SECONDS = 0.01


@dataclass
class Watch:
    """Follows the log of one port: each call covers the entries since the last call.

    Attributes:
        upstream: Writes the log.
        ignores_verifications: Whether to leave out verifications, except tokens that are answered with a 407.
        mark: The end of the log at the last call.
    """

    upstream: Upstream
    ignores_verifications: bool = False
    mark: int = 0

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Ignore all entries until now."""
        self.mark = self.upstream.log.mark()

    def entries(self, answered: int, refused: int = 0) -> list[LogEntry]:
        """Return the new entries, once they hold this many other answers and at least this many 407s.

        Squid logs a request when it ends: a tunnel when it is closed. A 407 to a request with a body may come
        after the answer to the same request over another connection.
        """
        deadline = time.monotonic() + 10
        while True:
            logged = self.upstream.log.entries_since(self.mark)
            found = [entry for entry in logged if not self._is_ignored(entry)]
            refusals = sum(entry.status == LOGIN_REQUIRED for entry in found)
            if len(found) - refusals >= answered and refusals >= refused:
                break
            assert time.monotonic() < deadline, f"not {answered} answers and {refused} 407s but {found}"
            time.sleep(_POLL_SECONDS)
        assert len(found) - refusals == answered, found
        self.reset()
        return found

    def _is_ignored(self, entry: LogEntry) -> bool:
        is_token_refused = entry.status == LOGIN_REQUIRED and entry.login_scheme != "-"
        return self.ignores_verifications and entry.method == "TRACE" and not is_token_refused

    def count_407(self, answered: int) -> int:
        """Return the number of new 407s, once this many requests got another answer."""
        return sum(entry.status == LOGIN_REQUIRED for entry in self.entries(answered))

    def check_cost(self, cost: int, *, answered: int) -> None:
        """Check that this many new requests were answered, and that they cost exactly this many 407s."""
        entries = self.entries(answered, cost)
        assert sum(entry.status == LOGIN_REQUIRED for entry in entries) == cost, entries

    def schemes(self) -> list[str]:
        """Return the scheme of each new login in order; the next call covers the same entries again."""
        found = self.upstream.log.entries_since(self.mark)
        return [entry.login_scheme for entry in found if entry.login_scheme != "-"]


@contextmanager
def bad_passwords(
    network: CorporateNetwork, user: User, *, at_least: int = 0, at_most: int = 0, resets: bool = True
) -> Iterator[None]:
    """Check how many wrong passwords of a user the domain counts; reset the count before and after.

    Args:
        network: With the domain.
        user: Of the domain.
        at_least: Fewest wrong passwords; fewer mean that the test has tried none.
        at_most: Most wrong passwords.
        resets: Whether to reset the count at the end.
    """
    assert user in network.ad.users
    network.ad.reset_bad_password_count(user)
    try:
        yield
        counted = network.ad.bad_password_count(user)
        note_figure(counted)
        assert at_least <= counted <= at_most, f"badPwdCount of {user.name} is {counted}"
    finally:
        if resets:
            network.ad.reset_bad_password_count(user)

"""What Squid and the domain saw of a test's requests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.corpnet.access_log import LogEntry
from tests.corpnet.kerberos import User
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Upstream

LOGIN_REQUIRED = 407
_POLL_SECONDS = 0.01


@dataclass
class Watch:
    """Follows the log of one port: each question is about what came after the one before."""

    upstream: Upstream
    mark: int = 0

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin here."""
        self.mark = self.upstream.log.mark()

    def entries(self, answered: int, refused: int = 0) -> list[LogEntry]:
        """Return what came since, once there are so many answers and at least so many 407s.

        Squid logs what has ended: a tunnel when it is closed, and a 407 to a request that a body belongs
        to perhaps after the answer to the same request over another connection.
        """
        deadline = time.monotonic() + 10
        while True:
            found = self.upstream.log.entries_since(self.mark)
            refusals = sum(entry.status == LOGIN_REQUIRED for entry in found)
            if len(found) - refusals >= answered and refusals >= refused:
                break
            assert time.monotonic() < deadline, f"not {answered} answers and {refused} 407s but {found}"
            time.sleep(_POLL_SECONDS)
        assert len(found) - refusals == answered, found
        self.reset()
        return found

    def count_407(self, answered: int) -> int:
        """Return the number of 407s since, once so many requests were answered otherwise."""
        return sum(entry.status == LOGIN_REQUIRED for entry in self.entries(answered))

    def check_cost(self, cost: int, *, answered: int) -> None:
        """Check that so many requests were answered since, and so many 407s were all they took."""
        entries = self.entries(answered, cost)
        assert sum(entry.status == LOGIN_REQUIRED for entry in entries) == cost, entries

    def schemes(self) -> list[str]:
        """Return the scheme of every login sent since, in order; does not begin anew."""
        found = self.upstream.log.entries_since(self.mark)
        return [entry.login_scheme for entry in found if entry.login_scheme != "-"]


@contextmanager
def bad_passwords(
    network: CorporateNetwork, user: User, *, at_least: int = 0, at_most: int = 0, resets: bool = True
) -> Iterator[None]:
    """Check how many wrong passwords of a user the domain counts, and begin and end with none.

    Args:
        network: With the domain.
        user: Of the domain.
        at_least: So many it must be: else the test has tried none.
        at_most: So many it may be.
        resets: Whether the count is put back at the end.
    """
    assert user in network.ad.users
    network.ad.reset_bad_password_count(user)
    try:
        yield
        counted = network.ad.bad_password_count(user)
        assert at_least <= counted <= at_most, f"badPwdCount of {user.name} is {counted}"
    finally:
        if resets:
            network.ad.reset_bad_password_count(user)

"""Resolves names in threads, and keeps the answers for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from px.core.errors import UnreachableError

#: Long enough for a burst of requests, short enough for a host that moves: `getaddrinfo` hides a record's
#: TTL.
KEEP_SECONDS = 30.0
KEEP_FAILURE_SECONDS = 3.0
MAX_NAMES = 1024

Run = Callable[..., Awaitable[list[str]]]


class _Answer(NamedTuple):
    addresses: tuple[str, ...]
    failure: str
    until: float


class Resolver:
    """Resolves names to addresses.

    Args:
        run: Calls a blocking function in a thread, with a time limit (`px.io.thread_lane.ThreadLane.run`).
        now: Returns monotonic seconds.
    """

    def __init__(self, run: Run, now: Callable[[], float]) -> None:
        self._run = run
        self._now = now
        self._answers: dict[str, _Answer] = {}
        self._under_way: dict[str, asyncio.Task[_Answer]] = {}

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Return the addresses of a host, in the system's order of preference; at least one.

        Raises:
            UnreachableError: The name does not exist, or the name server did not answer in time.
        """
        if is_ip_address(host):
            return (host,)
        answer = self._answers.get(host)
        if answer is None or answer.until <= self._now():
            answer = await self._look_up_once(host)
        if not answer.addresses:
            raise UnreachableError(
                f"The name {host} could not be resolved: {answer.failure}.",
                "Check the spelling of the name, the network and the name server (DNS).",
                proxy_status="dns_error",
            )
        return answer.addresses

    async def _look_up_once(self, host: str) -> _Answer:
        """Return the answer of one look-up that all simultaneous requests for a name share."""
        under_way = self._under_way
        task = under_way.get(host)
        if task is None:
            task = under_way[host] = asyncio.create_task(self._look_up(host))
            task.add_done_callback(lambda _: under_way.pop(host, None))
        return await asyncio.shield(task)

    async def _look_up(self, host: str) -> _Answer:
        answers = self._answers
        try:
            addresses = tuple(await self._run(_get_addresses, host))
            answer = _Answer(addresses, "", self._now() + KEEP_SECONDS)
        except TimeoutError:
            answer = _failure("the name server did not answer in time", self._now())
        except (OSError, UnicodeError) as error:
            answer = _failure(_describe_failure(error), self._now())
        while len(answers) >= MAX_NAMES:
            del answers[next(iter(answers))]
        answers[host] = answer
        return answer

    def forget(self) -> None:
        """Forget all answers, because the network has changed."""
        # Pending look-ups were sent in the old network: their answers go to the old dictionary.
        self._answers, self._under_way = {}, {}

    def __repr__(self) -> str:
        return f"<Resolver names={len(self._answers)} under_way={len(self._under_way)}>"


def _failure(reason: str, now: float) -> _Answer:
    return _Answer((), reason, now + KEEP_FAILURE_SECONDS)


def _describe_failure(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError):
        return "it is not a valid host name"
    return (error.strerror or str(error)).lower()


def _get_addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@lru_cache(maxsize=1024)  # called for each connection, with few hosts
def is_ip_address(host: str) -> bool:
    """Return whether a host is written as an IPv4 or IPv6 address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

"""Name look-ups."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from px.core.errors import UnreachableError
from px.upstream.connections import resolver as resolver_module
from px.upstream.connections.resolver import Resolver, is_ip_address


class Names:
    """Replaces the threads: it returns answers or errors, or does not answer."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.now = 0.0

    async def run(self, function: Any, host: str) -> list[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return list(answer)

    def resolver(self) -> Resolver:
        return Resolver(self.run, lambda: self.now)


async def test_an_ip_address_needs_no_lookup() -> None:
    names = Names([])
    assert await names.resolver().resolve("::1") == ("::1",)
    assert await names.resolver().resolve("127.0.0.1") == ("127.0.0.1",)
    assert names.asked == []
    assert not is_ip_address("host")


async def test_an_answer_is_remembered_for_a_while() -> None:
    names = Names(["1.1.1.1"], ["2.2.2.2"])
    resolver = names.resolver()
    assert await resolver.resolve("a") == ("1.1.1.1",)
    names.now += resolver_module.KEEP_SECONDS - 1
    assert await resolver.resolve("a") == ("1.1.1.1",)
    names.now += 1
    assert await resolver.resolve("a") == ("2.2.2.2",)


async def test_a_failure_is_remembered_for_a_short_while() -> None:
    names = Names(socket.gaierror(-2, "Name or service not known"), ["1.1.1.1"])
    resolver = names.resolver()
    for _ in range(2):
        with pytest.raises(UnreachableError, match="name or service not known") as caught:
            await resolver.resolve("a")
        assert caught.value.proxy_status == "dns_error"
    assert len(names.asked) == 1
    names.now += resolver_module.KEEP_FAILURE_SECONDS
    assert await resolver.resolve("a") == ("1.1.1.1",)


async def test_concurrent_requests_share_one_lookup() -> None:
    names = Names(["1.1.1.1"])
    resolver = names.resolver()
    await asyncio.gather(*(resolver.resolve("a") for _ in range(10)))
    assert names.asked == ["a"]
    assert repr(resolver) == "<Resolver names=1 under_way=0>"


async def test_a_cancelled_request_does_not_end_the_lookup_of_the_others() -> None:
    names = Names(["1.1.1.1"])
    resolver = names.resolver()
    impatient, patient = (asyncio.create_task(resolver.resolve("a")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == ("1.1.1.1",)


@pytest.mark.parametrize("error", [TimeoutError(), UnicodeError("label too long"), OSError(5, "Odd")])
async def test_any_failure_makes_the_host_unreachable(error: Exception) -> None:
    with pytest.raises(UnreachableError, match="could not be resolved"):
        await Names(error).resolver().resolve("a")


async def test_a_forgotten_name_is_looked_up_again_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver_module, "MAX_NAMES", 3)
    names = Names(["1.1.1.1"])
    resolver = names.resolver()
    for host in "abcde":
        await resolver.resolve(host)
    assert repr(resolver) == "<Resolver names=3 under_way=0>"
    resolver.forget()
    assert repr(resolver) == "<Resolver names=0 under_way=0>"


async def test_an_answer_from_another_network_is_not_kept_in_this_one() -> None:
    names = Names(["1.1.1.1"], ["2.2.2.2"])
    resolver = names.resolver()
    before = asyncio.create_task(resolver.resolve("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert names.asked == ["a"]
    resolver.forget()
    after = asyncio.create_task(resolver.resolve("a"))
    assert (await before, await after) == (("1.1.1.1",), ("2.2.2.2",))
    assert await resolver.resolve("a") == ("2.2.2.2",)


def test_the_system_finds_localhost() -> None:
    assert "127.0.0.1" in resolver_module._get_addresses("localhost")

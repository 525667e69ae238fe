"""Which credential a Kerberos login uses, with a library that is a script."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import cast

import pytest

from px.core.errors import LoginRefusedError, LoginUnusableError
from px.core.secret import Secret
from px.system.login.gssapi import Gssapi, GssapiError
from px.system.login.kerberos import KerberosLogin, KerberosSession

BASE = -1765328384
NO_CREDENTIAL = 7 << 16
FAILURE = 13 << 16


def failure(number: int, text: str = "as the library says") -> GssapiError:
    return GssapiError(NO_CREDENTIAL, BASE + number, text)


class Ticket:
    """A credential."""

    def __init__(self, name: str, expires_at: float = 36_000.0) -> None:
        self.name = name
        self.expires_at = expires_at


class Library:
    """Stands for the GSSAPI library: tickets, passwords and failures as set."""

    def __init__(self) -> None:
        self.tickets: dict[str, Ticket] = {}  # by principal; "" is the default cache's
        self.passwords: dict[str, str] = {}
        self.cache = ""
        self.asked: list[tuple[str, bool]] = []
        self.tokens: list[str] = []
        self.ticket_queries = 0
        self.token_failure: GssapiError | None = None
        self.lifetime = 36_000.0
        self.clock = 0.0

    def find_ticket_cache(self) -> str:
        return self.cache

    def acquire_ticket(self, principal: str = "") -> Ticket:
        self.ticket_queries += 1
        if principal not in self.tickets:
            raise failure(141, "no credentials cache")
        return self.tickets[principal]

    def acquire_by_password(self, principal: str, password: str, *, is_enterprise: bool) -> Ticket:
        self.asked.append((principal, is_enterprise))
        if principal not in self.passwords:
            raise failure(6)
        if self.passwords[principal] != password:
            raise failure(24)
        return Ticket(principal, self.clock + self.lifetime)

    def make_token(self, credential: Ticket, host: str, channel_bindings: bytes | None) -> bytes:
        if self.token_failure is not None:
            raise self.token_failure
        self.tokens.append(f"{credential.name} for {host}")
        return self.tokens[-1].encode()


async def inline(function, *args):
    return function(*args)


def login(
    library: Library,
    username: str = "",
    password: str | None = None,
    run_in_thread=inline,
    *,
    keeps_own=False,
) -> KerberosLogin:
    return KerberosLogin(
        username,
        Secret(password) if password else None,
        run_in_thread,
        keeps_own_ticket=keeps_own,
        load=cast("Callable[[], Gssapi]", lambda: library),
        clock=lambda: library.clock,
        wall_clock=lambda: library.clock,
    )


async def token(kerberos: KerberosLogin, host: str = "proxy.test") -> bytes:
    framed = await kerberos.open_session(host, None).step(None)
    assert framed.startswith(b"\x60")
    return framed[framed.rindex(b"\x04") + 2 :]


def is_complete(session: KerberosSession) -> bool:
    return session.is_complete  # a call, so that mypy does not take the answer for the last one


async def test_without_a_user_name_the_default_ticket_is_used():
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    kerberos = login(library)
    assert kerberos.ticket is None
    assert await token(kerberos) == b"alice@AD.TEST for proxy.test"
    assert kerberos.ticket == ("alice@AD.TEST", 36_000.0)


async def test_without_user_name_and_ticket_the_error_says_kinit():
    with pytest.raises(LoginUnusableError) as caught:
        await token(login(Library()))
    assert caught.value.cause == "There is no valid Kerberos ticket"
    assert "kinit" in caught.value.hint


async def test_without_ticket_and_password_the_error_names_the_principal_for_kinit():
    with pytest.raises(LoginUnusableError) as caught:
        await token(login(Library(), "alice@ad.test"))
    assert caught.value.hint == "Run kinit alice@AD.TEST, or set PX_PASSWORD."


async def test_a_ticket_of_the_user_is_preferred_to_the_password():
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    assert await token(login(library, "alice@ad.test", "pw"))
    assert library.asked == []


async def test_a_ticket_of_another_user_is_not_used():
    library = Library()
    library.tickets[""] = Ticket("bob@AD.TEST")
    library.passwords["alice@AD.TEST"] = "pw"
    assert await token(login(library, "alice@AD.TEST", "pw")) == b"alice@AD.TEST for proxy.test"


async def test_a_ticket_in_a_collection_beside_the_default_one_is_found():
    library = Library()
    library.tickets = {"": Ticket("bob@AD.TEST"), "alice@AD.TEST": Ticket("alice@AD.TEST")}
    assert await token(login(library, "alice@ad.test")) == b"alice@AD.TEST for proxy.test"


async def test_the_password_is_used_once_for_many_tokens():
    library = Library()
    library.passwords["alice@AD.TEST"] = "pw"
    kerberos = login(library, "alice@AD.TEST", "pw")
    for _ in range(3):
        await token(kerberos)
    assert library.asked == [("alice@AD.TEST", False)]


async def test_a_ticket_by_password_is_renewed_before_it_expires():
    library = Library()
    library.passwords["alice@AD.TEST"] = "pw"
    kerberos = login(library, "alice@AD.TEST", "pw")
    await token(kerberos)
    library.clock = library.lifetime - 61
    await token(kerberos)
    assert len(library.asked) == 1
    library.clock += 2
    await token(kerberos)
    assert len(library.asked) == 2


async def test_a_cached_ticket_is_looked_up_again_once_its_file_changed(tmp_path):
    library, file = Library(), tmp_path / "cc"
    library.cache = f"FILE:{file}"
    library.tickets[""] = Ticket("alice@AD.TEST")
    kerberos = login(library)
    await token(kerberos)
    await token(kerberos)
    assert library.ticket_queries == 1
    file.write_bytes(b"x")
    library.tickets[""] = Ticket("bob@AD.TEST")
    assert await token(kerberos) == b"bob@AD.TEST for proxy.test"


async def test_a_missing_ticket_is_looked_for_at_the_next_request():
    library = Library()
    kerberos = login(library)
    with pytest.raises(LoginUnusableError):
        await token(kerberos)
    library.tickets[""] = Ticket("alice@AD.TEST")
    assert await token(kerberos)


async def test_a_refused_password_is_tried_once_per_call_and_under_one_name():
    library = Library()
    library.passwords["alice@ad.test"] = "right"
    with pytest.raises(LoginRefusedError, match="refused the password") as caught:
        await token(login(library, "alice@ad.test", "wrong"))
    assert library.asked == [("alice@ad.test", True)]
    assert "wrong" not in repr(caught.value.__cause__)


async def test_a_name_that_the_kdc_does_not_know_is_tried_in_its_other_spelling():
    library = Library()
    library.passwords["alice@AD.TEST"] = "pw"
    assert await token(login(library, "alice@ad.test", "pw"))
    assert library.asked == [("alice@ad.test", True), ("alice@AD.TEST", False)]


async def test_the_error_of_the_first_spelling_is_reported():
    with pytest.raises(LoginUnusableError, match=r"does not know the user alice@ad\.test"):
        await token(login(Library(), "alice@ad.test", "pw"))


async def test_a_netbios_domain_sends_no_password_anywhere():
    library = Library()
    library.passwords["alice@ADTEST"] = library.passwords["alice"] = "pw"
    with pytest.raises(LoginUnusableError, match="realm is not known"):
        await token(login(library, "ADTEST\\alice", "pw"))
    assert library.asked == []


async def test_a_service_without_spn_is_named():
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    library.token_failure = GssapiError(FAILURE, BASE + 7, "Server not found")
    with pytest.raises(LoginUnusableError, match=r"no service HTTP/proxy\.test"):
        await token(login(library))


async def test_a_slow_failure_is_remembered_for_a_while(monkeypatch):
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    calls = 0

    def fail(*_):
        nonlocal calls
        calls += 1
        library.clock += 1.0
        raise GssapiError(FAILURE, BASE + 156, "unreachable")

    monkeypatch.setattr(library, "make_token", fail)
    kerberos = login(library)
    for _ in range(3):
        with pytest.raises(LoginUnusableError, match="cannot be reached"):
            await token(kerberos)
    assert calls == 1
    library.clock += 10
    with pytest.raises(LoginUnusableError):
        await token(kerberos)
    assert calls == 2


async def test_a_remembered_failure_is_forgotten_with_a_new_ticket(tmp_path, monkeypatch):
    library, file = Library(), tmp_path / "cc"
    library.cache = str(file)

    def nothing(*_):
        library.clock += 1.0
        raise failure(141)

    monkeypatch.setattr(library, "acquire_ticket", nothing)
    kerberos = login(library)
    with pytest.raises(LoginUnusableError):
        await token(kerberos)
    monkeypatch.undo()
    library.tickets[""] = Ticket("alice@AD.TEST")
    file.write_bytes(b"x")
    assert await token(kerberos)


async def test_a_session_gives_one_token_and_is_complete():
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    session = login(library).open_session("proxy.test", None)
    assert not is_complete(session)
    await session.step(None)
    assert is_complete(session)
    assert session.mechanism == "kerberos"
    with pytest.raises(LoginUnusableError, match="second"):
        await session.step(b"more")


async def test_a_timeout_names_the_kdc():
    async def late(function, *args):
        raise TimeoutError

    with pytest.raises(LoginUnusableError, match=r"KDC for alice@AD\.TEST does not answer"):
        await token(login(Library(), "alice@AD.TEST", "pw", late))


async def test_many_sessions_at_once_ask_the_kdc_once():
    library = Library()
    library.passwords["alice@AD.TEST"] = "pw"

    async def in_thread(function, *args):
        return await asyncio.to_thread(function, *args)

    kerberos = login(library, "alice@AD.TEST", "pw", in_thread)
    await asyncio.gather(*(token(kerberos) for _ in range(20)))
    assert len(library.asked) == 1


def own_ticket(run_in_thread=inline, password: str = "pw") -> tuple[Library, KerberosLogin]:
    """A login that keeps its own ticket, though a ticket cache holds one of the user."""
    library = Library()
    library.tickets[""] = Ticket("alice@AD.TEST")
    library.passwords["alice@AD.TEST"] = "pw"
    return library, login(library, "alice@AD.TEST", password, run_in_thread, keeps_own=True)


async def test_a_ticket_of_its_own_is_got_by_the_password_whatever_the_ticket_cache_holds():
    library, kerberos = own_ticket()
    assert kerberos.renew_at is None
    await token(kerberos)
    assert library.asked == [("alice@AD.TEST", False)]
    assert library.ticket_queries == 0


async def test_a_ticket_got_ahead_is_ready_for_the_hosts_and_serves_the_requests():
    library, kerberos = own_ticket()
    assert await kerberos.renew(["a.test", "b.test"]) == "alice@AD.TEST"
    assert library.tokens == ["alice@AD.TEST for a.test", "alice@AD.TEST for b.test"]
    await token(kerberos)
    assert len(library.asked) == 1


async def test_a_ticket_is_due_to_be_renewed_with_a_third_of_its_life_left():
    library, kerberos = own_ticket()
    library.clock, library.lifetime = 1000.0, 900.0
    await kerberos.renew([])
    assert kerberos.renew_at == 1600
    library.clock = 1600
    await kerberos.renew([])
    assert kerberos.renew_at == 2200


async def test_a_host_that_the_kdc_does_not_know_keeps_no_ticket_from_being_got():
    library, kerberos = own_ticket()
    library.token_failure = GssapiError(FAILURE, BASE + 7, "Server not found")
    await kerberos.renew(["a.test"])
    assert kerberos.renew_at is not None


async def test_a_short_ticket_is_used_for_most_of_its_life():
    library, kerberos = own_ticket()
    library.lifetime = 30.0
    await kerberos.renew([])
    library.clock = 26.0
    await token(kerberos)
    assert len(library.asked) == 1
    library.clock = 28.0
    await token(kerberos)
    assert len(library.asked) == 2


async def test_requests_use_the_old_ticket_while_a_new_one_is_waited_for(monkeypatch):
    async def in_thread(function, *args):
        return await asyncio.to_thread(function, *args)

    library, kerberos = own_ticket(in_thread)
    await kerberos.renew([])
    asked, may_answer = threading.Event(), threading.Event()
    answer = library.acquire_by_password

    def answer_late(*args, **kwargs):
        asked.set()
        assert may_answer.wait(10)
        return answer(*args, **kwargs)

    monkeypatch.setattr(library, "acquire_by_password", answer_late)
    renewing = asyncio.create_task(kerberos.renew([]))
    assert await asyncio.to_thread(asked.wait, 10)
    async with asyncio.timeout(5):
        await token(kerberos)
    may_answer.set()
    await renewing
    assert len(library.asked) == 2


async def test_a_renewal_that_fails_leaves_the_ticket_that_there_is():
    library, kerberos = own_ticket()
    await kerberos.renew([])
    due = kerberos.renew_at
    library.passwords["alice@AD.TEST"] = "another"
    with pytest.raises(LoginRefusedError):
        await kerberos.renew([])
    assert kerberos.renew_at == due
    await token(kerberos)

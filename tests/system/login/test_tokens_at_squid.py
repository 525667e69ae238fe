"""Tokens judged by real servers: Squid with MIT Kerberos and with a Samba domain."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest

from px.core.auth.challenge import format_basic, format_token, parse_challenges
from px.core.auth.digest import answer_digest, choose_digest
from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.token_source import TokenSource
from px.core.errors import LoginRefusedError, LoginUnusableError
from px.system.login.channel_bindings import tls_server_end_point
from px.system.login.tokens import make_token_source

pytestmark = pytest.mark.slow
HOST = "proxy.test"


async def in_thread(function, *args):
    async with asyncio.timeout(5):
        return await asyncio.to_thread(function, *args)


def make(username="", password=None, hashed=None, run_in_thread=in_thread) -> TokenSource:
    return make_token_source(
        username=username, password=password, nt_hash=hashed, run_in_thread=run_in_thread, platform="linux"
    )


class Connection:
    """A raw connection to one port of a Squid."""

    def __init__(self, upstream, ca_file: Path) -> None:
        self._socket = socket.create_connection(("127.0.0.1", upstream.port), timeout=20)
        self.bindings = None
        if upstream.tls:
            context = ssl.create_default_context(cafile=str(ca_file))
            tls = context.wrap_socket(self._socket, server_hostname=HOST)
            self.bindings = tls_server_end_point(tls.getpeercert(True) or b"")
            self._socket = tls
        self._reader = self._socket.makefile("rb")

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def ask(self, target: str, credentials: bytes | None) -> tuple[int, list[bytes]]:
        """Send a CONNECT; return the status and the challenges' lines."""
        lines = [f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode()]
        if credentials is not None:
            lines.append(b"Proxy-Authorization: " + credentials + b"\r\n")
        self._socket.sendall(b"".join(lines) + b"\r\n")
        status = int(self._reader.readline().split()[1])
        fields: dict[bytes, list[bytes]] = {}
        while line := self._reader.readline().strip():
            name, _, value = line.partition(b":")
            fields.setdefault(name.lower(), []).append(value.strip())
        if status != 200:
            self._reader.read(int(fields.get(b"content-length", [b"0"])[0]))
        return status, fields.get(b"proxy-authenticate", [])


@pytest.fixture
def dial(corporate_network):
    """Connect to a port of a Squid."""
    opened: list[Connection] = []

    def connect(upstream) -> Connection:
        opened.append(Connection(upstream, corporate_network.ca_file))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def log_in(corporate_network, dial):
    """Log in at a port; return the status of the final answer and the number of requests."""
    target = f"127.0.0.1:{corporate_network.origin.port}"

    async def run(upstream, source, mechanism, scheme=b"Negotiate", host=HOST) -> tuple[int, int]:
        connection = dial(upstream)
        session = source.open_session(mechanism, host, connection.bindings)
        token = await session.step(None)
        for requests in range(1, 5):
            status, lines = await asyncio.to_thread(connection.ask, target, format_token(scheme, token))
            if session.is_complete or status != 407:
                return status, requests
            found = [each.token for each in parse_challenges(lines) if each.scheme == scheme.decode().lower()]
            token = await session.step(found[0])
        raise AssertionError("the handshake does not end")

    return run


@pytest.fixture
def realm(monkeypatch, tmp_path):
    """Point Kerberos at a realm, with an empty ticket cache or a user's ticket."""

    def use(kdc, user=None) -> None:
        for name, value in kdc.realm.env.items():
            monkeypatch.setenv(name, value)
        cache = tmp_path / f"cc-{kdc.realm.name}"
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{cache}")
        if user is not None:
            kdc.realm.kinit(user, cache)

    return use


async def test_a_ticket_of_an_mit_kdc_logs_in_over_tcp_and_tls(corporate_network, realm, log_in):
    realm(corporate_network.mit, corporate_network.mit.alice)
    assert await log_in(corporate_network.kerberos, make(), "kerberos") == (200, 1)
    assert await log_in(corporate_network.kerberos_tls, make(), "kerberos") == (200, 1)


async def test_a_password_for_an_mit_kdc_logs_in_without_kinit(corporate_network, realm, log_in):
    alice = corporate_network.mit.alice
    realm(corporate_network.mit)
    for username in ("alice", "alice@MIT.TEST", "alice@mit.test", "mit.test\\alice"):
        source = make(username, alice.password)
        assert await log_in(corporate_network.kerberos, source, "kerberos") == (200, 1), username


async def test_a_wrong_password_for_an_mit_kdc_is_a_refusal(corporate_network, realm, log_in):
    realm(corporate_network.mit)
    with pytest.raises(LoginRefusedError, match="refused the password"):
        await log_in(corporate_network.kerberos, make("alice@MIT.TEST", "wrong"), "kerberos")


@pytest.mark.parametrize("username", ["", "alice", "alice@ad.test", "ADTEST\\alice", "ad.test\\ALICE"])
async def test_a_ticket_of_the_domain_logs_in(corporate_network, realm, log_in, username):
    realm(corporate_network.ad, corporate_network.ad.alice)
    assert await log_in(corporate_network.negotiate, make(username), "kerberos") == (200, 1)


@pytest.mark.parametrize("username", ["alice@AD.TEST", "alice@ad.test", "alice", "ad.test\\alice"])
async def test_a_password_of_the_domain_logs_in_without_kinit(corporate_network, realm, log_in, username):
    realm(corporate_network.ad)
    source = make(username, corporate_network.ad.alice.password)
    assert await log_in(corporate_network.negotiate, source, "kerberos") == (200, 1)


@pytest.mark.parametrize("username", ["carol@AD.TEST", "carol@ad.test", "ad.test\\carol"])
async def test_a_wrong_password_costs_exactly_one_attempt(corporate_network, realm, log_in, username):
    domain = corporate_network.ad
    realm(domain)
    domain.reset_bad_password_count(domain.carol)
    for attempt in (1, 2):
        before = domain.bad_password_count(domain.carol)
        with pytest.raises(LoginRefusedError, match="refused the password"):
            await log_in(corporate_network.negotiate, make(username, f"wrong{attempt}"), "kerberos")
        assert domain.bad_password_count(domain.carol) == before + 1
    domain.reset_bad_password_count(domain.carol)


async def test_a_caller_that_goes_away_hides_no_refusal(corporate_network, realm):
    domain = corporate_network.ad
    realm(domain)
    domain.reset_bad_password_count(domain.carol)
    before = domain.bad_password_count(domain.carol)
    source = make("carol@AD.TEST", "wrong")
    task = asyncio.create_task(source.open_session("kerberos", HOST, None).step(None))
    await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(LoginRefusedError):
        await source.open_session("kerberos", HOST, None).step(None)
    assert domain.bad_password_count(domain.carol) == before + 1
    domain.reset_bad_password_count(domain.carol)


async def test_an_unknown_user_is_named(corporate_network, realm, log_in):
    realm(corporate_network.ad)
    for username in ("nobody@AD.TEST", "nobody@ad.test", "alice@other.example"):
        with pytest.raises(LoginUnusableError, match=f"does not know the user {username}"):
            await log_in(corporate_network.negotiate, make(username, "pw"), "kerberos")


async def test_a_netbios_domain_without_ticket_costs_no_attempt(corporate_network, realm, log_in):
    domain = corporate_network.ad
    realm(domain)
    before = domain.bad_password_count(domain.alice)
    with pytest.raises(LoginUnusableError, match="realm is not known"):
        await log_in(corporate_network.negotiate, make("ADTEST\\alice", "wrong"), "kerberos")
    assert domain.bad_password_count(domain.alice) == before


async def test_a_host_without_spn_is_named(corporate_network, realm, log_in):
    realm(corporate_network.ad, corporate_network.ad.alice)
    with pytest.raises(LoginUnusableError, match=r"no service HTTP/nospn\.test"):
        await log_in(corporate_network.negotiate, make(), "kerberos", host="nospn.test")


async def test_kinit_while_px_runs_is_noticed_at_the_next_login(corporate_network, realm, log_in):
    source = make()
    realm(corporate_network.ad)
    with pytest.raises(LoginUnusableError, match="no valid Kerberos ticket"):
        await log_in(corporate_network.negotiate, source, "kerberos")
    for user in (corporate_network.ad.alice, corporate_network.ad.bob):
        realm(corporate_network.ad, user)
        assert await log_in(corporate_network.negotiate, source, "kerberos") == (200, 1)


async def test_a_kdc_that_is_down_fails_at_once(corporate_network, realm, monkeypatch, tmp_path):
    realm(corporate_network.ad)
    use_kdc(monkeypatch, tmp_path, port=1)
    started = time.monotonic()
    with pytest.raises(LoginUnusableError, match="cannot be reached"):
        await make("alice@AD.TEST", "pw").open_session("kerberos", HOST, None).step(None)
    assert time.monotonic() - started < 3


async def test_px_gives_up_a_silent_kdc_and_other_logins_do_not_wait(
    corporate_network, realm, monkeypatch, tmp_path
):
    async def hasty(function, *args):
        async with asyncio.timeout(0.5):
            return await asyncio.to_thread(function, *args)

    realm(corporate_network.ad)
    silent = socket.create_server(("127.0.0.1", 0))
    use_kdc(monkeypatch, tmp_path, silent.getsockname()[1])
    source = make("alice@AD.TEST", "pw", run_in_thread=hasty)
    try:
        for within in (3.0, 0.2):
            started = time.monotonic()
            with pytest.raises(LoginUnusableError, match="does not answer"):
                await source.open_session("kerberos", HOST, None).step(None)
            assert time.monotonic() - started < within
    finally:
        accept_and_close(silent)  # lets the thread that waits for it end


def use_kdc(monkeypatch, tmp_path, port: int) -> None:
    """Write a configuration for AD.TEST whose KDC is at this port."""
    file = tmp_path / "krb5-other.conf"
    realms = f"[realms]\n AD.TEST = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
    defaults = "[libdefaults]\n default_realm = AD.TEST\n dns_lookup_kdc = false\n udp_preference_limit = 1\n"
    file.write_text(defaults + realms)
    monkeypatch.setenv("KRB5_CONFIG", str(file))


def accept_and_close(listener: socket.socket) -> None:
    listener.settimeout(0.2)
    try:
        while True:
            listener.accept()[0].close()
    except TimeoutError:
        listener.close()


@pytest.mark.parametrize("form", ["ADTEST\\{}", "{}@ad.test", "{}"])
@pytest.mark.parametrize("user", ["alice", "juergen"])
async def test_ntlm_logs_in_with_every_way_to_write_a_user(corporate_network, log_in, form, user):
    known = getattr(corporate_network.ad, user)
    source = make(form.format(known.name), known.password)
    assert await log_in(corporate_network.ntlm, source, "ntlm", b"NTLM") == (200, 2)


async def test_ntlm_logs_in_with_the_hash_alone(corporate_network, log_in):
    source = make("ADTEST\\alice", hashed=nt_hash(corporate_network.ad.alice.password))
    assert await log_in(corporate_network.ntlm, source, "ntlm", b"NTLM") == (200, 2)


async def test_ntlm_goes_through_under_the_name_of_negotiate(corporate_network, log_in):
    source = make("ADTEST\\alice", corporate_network.ad.alice.password)
    assert await log_in(corporate_network.negotiate, source, "ntlm") == (200, 2)


async def test_ntlm_with_channel_bindings_is_accepted_over_tls(corporate_network, log_in, dial):
    assert dial(corporate_network.ntlm_tls).bindings.startswith(b"tls-server-end-point:")
    source = make("ADTEST\\alice", corporate_network.ad.alice.password)
    assert await log_in(corporate_network.ntlm_tls, source, "ntlm", b"NTLM") == (200, 2)


async def test_ntlm_with_a_wrong_password_is_refused(corporate_network, log_in):
    domain = corporate_network.ad
    before = domain.bad_password_count(domain.carol)
    assert await log_in(corporate_network.ntlm, make("ADTEST\\carol", "no"), "ntlm", b"NTLM") == (407, 2)
    assert domain.bad_password_count(domain.carol) == before + 1
    domain.reset_bad_password_count(domain.carol)


@pytest.mark.parametrize(("password", "status"), [(None, 200), ("wrong", 407)])
def test_digest_is_judged_by_squid(corporate_network, dial, password, status):
    target = f"127.0.0.1:{corporate_network.origin.port}"
    connection = dial(corporate_network.digest)
    asked = choose_digest(parse_challenges(connection.ask(target, None)[1]))
    assert asked is not None
    for count in (1, 2) if status == 200 else (1,):
        credentials = answer_digest(
            asked,
            method=b"CONNECT",
            uri=target.encode(),
            username="alice",
            password=password or corporate_network.mit.alice.password,
            nonce_count=count,
            cnonce="0123456789abcdef",
        )
        assert dial(corporate_network.digest).ask(target, credentials)[0] == status


@pytest.mark.parametrize("user", ["alice", "juergen"])
def test_basic_is_judged_by_the_domain(corporate_network, dial, user):
    target = f"127.0.0.1:{corporate_network.origin.port}"
    known = getattr(corporate_network.ad, user)
    credentials = format_basic(f"ADTEST\\{known.name}", known.password)
    assert dial(corporate_network.basic_ad).ask(target, credentials)[0] == 200

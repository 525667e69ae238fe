"""The mechanisms of a source, by what Px knows about an identity."""

from __future__ import annotations

import traceback

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.token_source import TokenSource
from px.core.errors import LoginUnusableError
from px.system.login.tokens import make_token_source

PASSWORD = "Pässwörd1€"


async def inline(function, *args):
    return function(*args)


def source(username="", password=None, hashed=None, platform="linux", **kwargs) -> TokenSource:
    return make_token_source(
        username=username,
        password=password,
        nt_hash=hashed,
        run_in_thread=inline,
        platform=platform,
        **kwargs,
    )


@pytest.mark.parametrize(
    ("known", "platform", "mechanisms"),
    [
        ({}, "linux", {"kerberos"}),
        ({}, "darwin", {"kerberos"}),
        ({}, "win32", {"kerberos", "ntlm"}),
        ({"password": PASSWORD}, "linux", {"kerberos"}),
        ({"username": "D\\u"}, "linux", {"kerberos"}),
        ({"username": "D\\u"}, "win32", set()),
        ({"username": "D\\u", "password": ""}, "linux", {"kerberos"}),
        ({"username": "D\\u", "password": PASSWORD}, "linux", {"kerberos", "ntlm", "digest", "basic"}),
        ({"username": "D\\u", "password": PASSWORD}, "win32", {"kerberos", "ntlm", "digest", "basic"}),
        ({"username": "D\\u", "hashed": bytes(16)}, "linux", {"ntlm"}),
        ({"username": "D\\u", "hashed": bytes(16)}, "win32", {"ntlm"}),
    ],
)
def test_the_known_secrets_decide_which_mechanisms_may_be_tried(known, platform, mechanisms):
    assert source(**known, platform=platform).mechanisms == mechanisms


@pytest.mark.parametrize(
    ("known", "platform", "keeps_one"),
    [
        ({"username": "u", "password": PASSWORD}, "linux", True),
        ({"username": "u", "password": PASSWORD}, "darwin", True),
        ({"username": "u", "password": PASSWORD}, "win32", False),
        ({"username": "u", "hashed": bytes(16)}, "linux", False),
        ({"username": "u"}, "linux", False),
    ],
)
def test_a_ticket_of_its_own_takes_a_password_and_the_wish(known, platform, keeps_one):
    assert (source(**known, platform=platform, keeps_own_ticket=True).own_ticket is not None) is keeps_one
    assert source(**known, platform=platform).own_ticket is None


@pytest.mark.parametrize("host", ["10.0.0.1", "::1", "[fe80::1%eth0]", "fe80::1%eth0", "127.0.0.1."])
def test_kerberos_with_an_address_is_unusable_at_once(host):
    with pytest.raises(LoginUnusableError, match="needs the upstream's name"):
        source().open_session("kerberos", host, None)


def test_ntlm_with_an_address_is_fine():
    assert source("u", PASSWORD).open_session("ntlm", "10.0.0.1", None).mechanism == "ntlm"


def test_the_dot_of_the_root_is_no_part_of_a_service_name():
    assert "proxy.test>" in repr(source().open_session("kerberos", "proxy.test.", None))


@pytest.mark.parametrize("mechanism", ["ntlm", "kerberos"])
def test_a_mechanism_without_its_secret_is_unusable_with_a_hint(mechanism):
    lacking = source() if mechanism == "ntlm" else source("u", hashed=bytes(16))
    with pytest.raises(LoginUnusableError) as caught:
        lacking.open_session(mechanism, "proxy.test", None)
    assert "px --password" in caught.value.hint


def test_digest_and_basic_get_the_password_in_clear():
    assert source("D\\jürgen", PASSWORD).password_credentials() == ("D\\jürgen", PASSWORD)


@pytest.mark.parametrize("lacking", [{}, {"username": "u"}, {"username": "u", "hashed": bytes(16)}])
def test_without_a_password_there_are_no_credentials_in_clear(lacking):
    with pytest.raises(LoginUnusableError):
        source(**lacking).password_credentials()


def test_the_identity_ignores_case_but_keeps_the_spelling():
    one, two = source("Dom\\Alice").identity, source("DOM\\alice").identity
    assert (one.name, one.key == two.key) == ("Dom\\Alice", True)
    assert source().identity.name == "the logged-in user"
    assert source().identity.key not in (one.key, "")


def test_the_mark_changes_with_secret_and_salt_and_shows_twelve_bits():
    mark = source("u", "a", mark_salt=b"s").secret_mark
    assert len(mark) == 3
    assert int(mark, 16) < 4096
    assert source("u", "a", mark_salt=b"s").secret_mark == mark
    assert source("u", "b", mark_salt=b"s").secret_mark != mark
    assert source("u", "a", mark_salt=b"t").secret_mark != mark


def test_the_mark_of_a_password_and_of_its_hash_are_the_same():
    assert source("u", PASSWORD).secret_mark == source("u", hashed=nt_hash(PASSWORD)).secret_mark


def test_without_a_secret_there_is_no_mark():
    assert source().secret_mark == source("u").secret_mark == ""


def test_a_password_that_is_no_text_is_unusable():
    with pytest.raises(LoginUnusableError, match="not text"):
        source("u", "p\udc80")


def test_no_repr_shows_the_secret():
    hexed = nt_hash(PASSWORD).hex()
    made = source("D\\u", PASSWORD)
    reachable, seen = [made], set()
    while reachable:  # whatever hangs on the source, a debugger's or crash log's repr of it
        item = reachable.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        assert PASSWORD not in repr(item)
        assert hexed not in repr(item)
        if type(item).__module__.startswith("px.system"):
            reachable += vars(item).values()
        elif isinstance(item, dict):
            reachable += item.values()
    assert len(seen) > 5


async def test_no_error_of_a_login_shows_the_secret():
    session = source("D\\u", PASSWORD).open_session("ntlm", "proxy.test", None)
    await session.step(None)
    with pytest.raises(LoginUnusableError) as caught:
        await session.step(b"NTLMSSP\0\x02\0\0\0 garbage")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_the_repr_has_the_name_and_the_mechanisms():
    assert repr(source("D\\u", hashed=bytes(16))) == "<TokenSource D\\u: ntlm>"

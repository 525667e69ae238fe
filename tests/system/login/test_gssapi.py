"""The GSSAPI library through ctypes, without any KDC."""

from __future__ import annotations

import ctypes

import pytest

from px.core.errors import LoginUnusableError
from px.system.login import gssapi, gssapi_types
from px.system.login.gssapi import Gssapi, GssapiError, load_gssapi

try:
    LIBRARY = load_gssapi()
except LoginUnusableError as missing:
    pytest.skip(missing.cause, allow_module_level=True)

KRB5_CONF = """\
[libdefaults]
  default_realm = AD.TEST
  dns_lookup_kdc = false
[realms]
  AD.TEST = {
    kdc = 127.0.0.1:1
  }
"""


@pytest.fixture(autouse=True)
def own_configuration(tmp_path, monkeypatch):
    (tmp_path / "krb5.conf").write_text(KRB5_CONF)
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/cc")


def test_the_name_of_the_ticket_cache_follows_the_environment(tmp_path, monkeypatch):
    assert LIBRARY.find_ticket_cache() == f"FILE:{tmp_path}/cc"
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/other")
    assert LIBRARY.find_ticket_cache() == f"FILE:{tmp_path}/other"


@pytest.mark.parametrize("principal", ["", "alice@AD.TEST"])
def test_a_missing_ticket_cache_is_no_ticket(principal):
    with pytest.raises(GssapiError) as caught:
        LIBRARY.acquire_ticket(principal)
    assert caught.value.is_no_ticket
    assert not caught.value.is_bad_name
    assert "credential" in str(caught.value) or "cache" in str(caught.value)


def test_a_damaged_ticket_cache_is_an_error_and_no_crash(tmp_path):
    (tmp_path / "cc").write_bytes(b"\x05\x04\xff\xff garbage")
    with pytest.raises(GssapiError):
        LIBRARY.acquire_ticket()


def test_a_kdc_that_is_down_has_kerberos_own_number():
    with pytest.raises(GssapiError, match=r"AD\.TEST") as caught:
        LIBRARY.acquire_by_password("alice@AD.TEST", "secret", is_enterprise=False)
    assert caught.value.code == -1765328384 + 156
    assert "secret" not in str(caught.value)


def test_a_realm_without_a_kdc_has_kerberos_own_number():
    with pytest.raises(GssapiError) as caught:
        LIBRARY.acquire_by_password("alice@NOWHERE.TEST", "secret", is_enterprise=False)
    assert caught.value.code == -1765328384 + 154


def test_a_library_without_a_function_is_an_error_and_no_crash():
    class Bare:
        """Has the symbols of RFC 2744 only."""

        def __getattr__(self, name: str):
            if name in ("gss_acquire_cred_with_password", "gss_krb5_ccache_name"):
                raise AttributeError(name)
            return getattr(LIBRARY._library, name)

    bare = Gssapi(Bare())  # type: ignore[arg-type]
    assert bare.find_ticket_cache() == ""
    with pytest.raises(GssapiError, match="has no gss_acquire_cred_with_password"):
        bare.acquire_by_password("alice@AD.TEST", "secret", is_enterprise=False)


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(gssapi, "_LIBRARIES", {"other": ("libnothing.so.0",)})
    with pytest.raises(LoginUnusableError, match="no GSSAPI library") as caught:
        load_gssapi("linux")
    assert "Install" in caught.value.hint


def test_a_secret_is_overwritten_after_use():
    given = gssapi_types.Input(b"secret")
    given.wipe()
    assert ctypes.string_at(given.buffer.value, 6) == bytes(6)

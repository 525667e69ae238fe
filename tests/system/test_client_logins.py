"""How clients log in, from what the user allows and what this computer can check."""

from __future__ import annotations

import pytest

from px.core.auth_policy import AuthPolicy
from px.core.client_auth import ClientAuth
from px.core.secret import Secret
from px.core.startup_errors import ConfigError
from px.system.client_logins import make_client_auth

PASSWORD = Secret("pw")


async def inline(function, *args):
    return function(*args)


@pytest.fixture(autouse=True)
def no_keytab(tmp_path, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", f"FILE:{tmp_path}/none.keytab")


def make(
    policy: str,
    platform: str,
    *,
    password: Secret | None = None,
    username: str = "",
    nosspi: bool = False,
) -> ClientAuth | None:
    return make_client_auth(
        policy=AuthPolicy.parse_list(policy),
        username=username,
        password=password,
        nosspi=nosspi,
        offload=inline,
        platform=platform,
    )


def offers(*args, **kwargs) -> str:
    auth = make(*args, **kwargs)
    assert auth is not None
    return " ".join(auth.schemes)


def test_none_is_nothing():
    assert make("NONE", "linux", password=PASSWORD) is None


@pytest.mark.parametrize(
    ("policy", "platform", "options", "offered"),
    [
        ("ANY", "linux", {"password": PASSWORD}, "ntlm digest basic"),
        ("ANYSAFE", "darwin", {"password": PASSWORD}, "ntlm digest"),
        ("NEGOTIATE", "linux", {"password": PASSWORD}, "negotiate"),
        ("DIGEST,NTLM", "linux", {"password": PASSWORD}, "ntlm digest"),
        ("ANY", "win32", {}, "negotiate ntlm"),
        ("ANY", "win32", {"password": PASSWORD}, "negotiate ntlm digest basic"),
        ("ANY", "win32", {"password": PASSWORD, "nosspi": True}, "ntlm digest basic"),
        ("NEGOTIATE,BASIC", "win32", {}, "negotiate"),
    ],
)
def test_what_can_be_checked_is_offered(policy, platform, options, offered):
    assert offers(policy, platform, **options) == offered


@pytest.mark.parametrize(
    ("policy", "platform", "options", "mend"),
    [
        ("NTLM", "linux", {}, "; set PX_CLIENT_PASSWORD, and --client_username"),
        ("ANY", "linux", {}, "or KRB5_KTNAME to a keytab with HTTP/<this host> (no Kerberos: "),
        ("KERBEROS", "darwin", {"password": PASSWORD}, "or KRB5_KTNAME to a keytab"),
        ("BASIC", "win32", {}, "; set PX_CLIENT_PASSWORD, and --client_username"),
        ("ANY", "win32", {"nosspi": True}, "or leave out --client_nosspi"),
    ],
)
def test_where_no_client_could_log_in_px_does_not_start_and_says_what_is_missing(
    policy, platform, options, mend
):
    with pytest.raises(ConfigError) as caught:
        make(policy, platform, **options)
    message = str(caught.value)
    assert message.startswith(
        f"--client_auth={policy}: there is nothing to check the logins of clients against"
    )
    assert mend in message
    assert "\n" not in message


def test_a_password_that_is_no_text_is_an_error_that_does_not_show_it():
    with pytest.raises(ConfigError, match="PX_CLIENT_PASSWORD: The password holds bytes") as caught:
        make("NTLM", "linux", password=Secret("\udc80geheim"))
    assert "geheim" not in str(caught.value)


def test_whose_logins_they_are_is_shown_and_no_secret():
    auth = make("NTLM", "linux", password=PASSWORD, username="CORP\\alice")
    assert repr(auth) == "<ClientAuth ntlm for CORP\\alice>"

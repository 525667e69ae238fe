"""The logins that Px offers clients: those that the user allows and this computer can verify."""

from __future__ import annotations

import pytest

from px.core.auth.policy import AuthPolicy
from px.core.auth.secret_store import SecretStoreError
from px.core.client_login.login import ClientAuth
from px.core.secret import Secret
from px.core.startup_errors import ConfigError
from px.system.client_login.logins import make_client_auth
from tests.core.client_login.clients import ask, basic, is_in

PASSWORD = Secret("pw")


async def inline(function, *args):
    return function(*args)


@pytest.fixture(autouse=True)
def no_keytab(tmp_path, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", f"FILE:{tmp_path}/none.keytab")


class Keyring:
    """Stands in for a keyring, or for a missing one if `passwords` is None."""

    def __init__(self, passwords: dict[str, str] | None = None) -> None:
        self._passwords = passwords
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        if self._passwords is None:
            raise SecretStoreError("there is no keyring here", "get one")
        return "the keyring"

    def load_password(self, service: str, username: str) -> Secret | None:
        assert service == "PxClient"
        self.asked.append(username)
        text = (self._passwords or {}).get(username)
        return Secret(text) if text else None

    def store_password(self, service: str, username: str, password: Secret) -> None:
        pytest.fail("Px stores nothing by itself")

    def remove_password(self, service: str, username: str) -> bool:
        pytest.fail("nor does it remove anything")


def make(
    policy: str,
    platform: str,
    *,
    password: Secret | None = None,
    username: str = "",
    keyring: Keyring | None = None,
    nosspi: bool = False,
) -> ClientAuth | None:
    return make_client_auth(
        policy=AuthPolicy.parse_list(policy),
        username=username,
        password=password,
        keyring=keyring or Keyring(),
        nosspi=nosspi,
        run_in_thread=inline,
        platform=platform,
    )


def offers(*args, **kwargs) -> str:
    auth = make(*args, **kwargs)
    assert auth is not None
    return " ".join(auth.schemes)


def test_with_none_clients_need_no_login():
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
        ("ANY", "linux", {"keyring": Keyring({})}, "ntlm digest basic"),
        ("ANY", "win32", {"keyring": Keyring({})}, "negotiate ntlm digest basic"),
        ("NEGOTIATE,BASIC", "win32", {"keyring": Keyring({}), "username": "alice"}, "negotiate"),
    ],
)
def test_schemes_that_can_be_verified_are_offered(policy, platform, options, offered):
    assert offers(policy, platform, **options) == offered


@pytest.mark.parametrize(
    ("policy", "platform", "options", "hint"),
    [
        ("NTLM", "linux", {}, "store its password with px --client-password, or set PX_CLIENT_PASSWORD"),
        ("ANY", "linux", {}, "or KRB5_KTNAME to a keytab with HTTP/<this host> (no Kerberos: "),
        ("KERBEROS", "darwin", {"password": PASSWORD}, "or KRB5_KTNAME to a keytab"),
        ("BASIC", "win32", {}, "; name a user with --client_username"),
        ("BASIC", "linux", {"keyring": Keyring({}), "username": "alice"}, "; name a user"),
        ("ANY", "win32", {"nosspi": True}, "or leave out --client_nosspi"),
    ],
)
def test_px_does_not_start_if_no_client_could_log_in_and_names_what_is_missing(
    policy, platform, options, hint
):
    with pytest.raises(ConfigError) as caught:
        make(policy, platform, **options)
    message = str(caught.value)
    assert message.startswith(f"--client_auth={policy}: Px has nothing to verify the logins of clients with")
    assert hint in message
    assert "\n" not in message


def test_the_error_for_a_password_that_is_not_text_does_not_show_it():
    with pytest.raises(ConfigError, match="PX_CLIENT_PASSWORD: The password holds bytes") as caught:
        make("NTLM", "linux", password=Secret("\udc80geheim"))
    assert "geheim" not in str(caught.value)


def test_the_repr_shows_the_client_and_no_secret():
    auth = make("NTLM", "linux", password=PASSWORD, username="CORP\\alice")
    assert repr(auth) == "<ClientAuth ntlm for CORP\\alice>"


def test_px_does_not_ask_a_keyring_that_it_does_not_need():
    class Untouched(Keyring):
        @property
        def name(self) -> str:
            pytest.fail("asked")

    assert offers("NEGOTIATE,NTLM", "win32", keyring=Untouched()) == "negotiate ntlm"
    assert offers("BASIC", "linux", keyring=Untouched(), password=PASSWORD) == "basic"


async def test_only_clients_with_a_stored_password_can_log_in():
    keyring = Keyring({"alice": "of alice", "CORP\\bob": "of bob"})
    auth = make("BASIC", "linux", keyring=keyring)
    assert auth is not None
    login = auth.open_login()
    for user, password, may in (
        ("alice", "of alice", True),
        ("CORP\\bob", "of bob", True),
        ("bob", "of bob", False),
        ("alice", "of bob", False),
        ("mallory", "", False),
    ):
        assert is_in(await ask(login, basic(user, password))) is may

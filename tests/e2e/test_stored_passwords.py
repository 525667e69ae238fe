"""Passwords from a real keyring: stored by one Px, used by another at a real upstream."""

from __future__ import annotations

import base64
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.leaks import ProcessWatch, check_text, forms_of
from tests.px_process import PxProcess, run_action
from tests.secret_service import Session, dbus_session

from . import exchanges
from .exchanges import HOST
from .http_client import Client
from .logins import Kerberos, Login, Secret
from .ntlm_client import get_by
from .squid_watch import Watch, bad_passwords

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests use a keyring of Linux")

USER = "ADTEST\\bob"
#: The library does not close its sockets when it fails; the garbage collector does.
LENIENT = {"PYTHONWARNINGS": "error,ignore::ResourceWarning"}
_LOGIN = Login("ntlm", "ntlm", 2, 1, "ad.bob", USER, secret=Secret.NOTHING, options=(f"--username={USER}",))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Yield a D-Bus session without a keyring."""
    with dbus_session(tmp_path / "session") as session:
        yield session


@pytest.fixture
def unlocked(session: Session) -> Iterator[Session]:
    """Yield a D-Bus session with an unlocked keyring."""
    with session.gnome_keyring():
        yield session


def store(directory: Path, session: Session, password: str, user: str = USER) -> str:
    """Store a password with ``px --password``; return its output."""
    done = run_action(
        directory, "--password", f"--username={user}", stdin=password, environment=session.environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert password not in done.stdout or not password
    return done.stdout


def test_a_stored_password_logs_in_until_it_is_removed(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    bob, watch = network.ad.bob, Watch(network.ntlm)
    assert 'stored in the Secret Service (GNOME Keyring, KWallet), as service "Px"' in store(
        tmp_path, unlocked, bob.password + "\n"
    )
    with bad_passwords(network, bob):
        with _LOGIN.running_px(network, tmp_path, **unlocked.environment) as px:
            with Client(px.port) as client:
                exchanges.get(client, network)
                exchanges.open_tunnel(client, network)
            users = {entry.user for entry in watch.entries(answered=2) if entry.status == 200}
            assert users == {USER}
            assert bob.password not in px.output
        assert f"The password of {USER} is removed from" in store(tmp_path, unlocked, "")
        with _LOGIN.running_px(network, tmp_path, **unlocked.environment) as px, Client(px.port) as client:
            answer = client.get(network.origin.url("/", HOST))
            assert (answer.status, "warning" in px.output) == (502, False)


def test_a_running_px_gets_a_new_password_and_forgets_a_removed_one(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    """The workers get the password over a channel that no other user can read."""
    bob = network.ad.bob

    def status(px: PxProcess) -> int:
        with Client(px.port) as client:
            return client.get(network.origin.url("/", HOST)).status

    def change(px: PxProcess, password: str) -> str:
        done = run_action(
            tmp_path,
            "--password",
            f"--username={USER}",
            f"--port={px.port}",
            stdin=password,
            environment=unlocked.environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    with (
        bad_passwords(network, bob),
        _LOGIN.running_px(network, tmp_path, "--workers=2", **unlocked.environment) as px,
        ProcessWatch(px.pid) as watch,
    ):
        assert status(px) == 502
        assert change(px, bob.password).endswith("The running Px has read the passwords again.\n")
        assert [status(px) for _ in range(4)] == [200] * 4
        change(px, "")
        assert status(px) == 502
    forms = forms_of(bob.password, USER)
    check_text("the command lines", watch.command_lines, forms)
    check_text("the environments", watch.environments, forms)
    check_text("the output", px.output, forms)


def test_px_tries_a_password_at_once_after_it_is_stored_again(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    """A user does this after an administrator has unlocked the account, for example."""
    carol, watch = network.ad.carol, Watch(network.ntlm)
    user = f"ADTEST\\{carol.name}"
    login = replace(_LOGIN, user="ad.carol", options=(f"--username={user}",))

    def ask() -> str:
        with login.running_px(network, tmp_path, **unlocked.environment) as px, Client(px.port) as client:
            return client.get(network.origin.url("/", HOST)).text

    with bad_passwords(network, carol, at_least=3, at_most=3):
        store(tmp_path, unlocked, "wrong", user)
        for _ in range(2):
            assert "refused the login" in ask()
        watch.reset()
        assert "no more logins" in ask()
        assert watch.schemes() == []
        store(tmp_path, unlocked, "wrong", user)
        ask()
        assert watch.schemes() != []


def test_an_upstream_gets_the_stored_password_of_its_own_user(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    bob, watch = network.ad.bob, Watch(network.ntlm)
    store(tmp_path, unlocked, bob.password)
    server = f"http://{quote(USER, safe='')}@localhost:{network.ntlm.port}"
    environment = {**unlocked.environment, "PX_SERVER": server}
    with PxProcess(tmp_path, "--verbose", environment=environment) as px, Client(px.port) as client:
        exchanges.get(client, network)
    assert watch.entries(answered=1)[-1].user == USER


def test_a_stored_password_gets_a_ticket(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    alice, watch = network.ad.alice, Watch(network.negotiate)
    store(tmp_path, unlocked, alice.password, "alice@AD.TEST")
    options = ("--kerberos", "--username=alice@AD.TEST")
    login = Login("negotiate", "negotiate", 1, 0, "ad.alice", secret=Secret.NOTHING, kerberos=Kerberos.KDC)
    with (
        login.running_px(network, tmp_path, *options, **unlocked.environment) as px,
        Client(px.port) as client,
    ):
        exchanges.get(client, network)
    watch.check_cost(1, answered=1)


def test_clients_log_in_with_their_stored_password(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    options = ["--client_username=team", "--client_auth=BASIC"]
    done = run_action(
        tmp_path, "--client-password", *options, stdin="of the team\n", environment=unlocked.environment
    )
    assert (done.returncode, 'as service "PxClient"' in done.stdout) == (0, True)
    upstream = f"--proxy=localhost:{network.open.port}"
    with PxProcess(tmp_path, upstream, *options, environment=unlocked.environment) as px:
        statuses = {}
        for password in ("of the team", "another"):
            credentials = base64.b64encode(f"team:{password}".encode()).decode()
            with Client(px.port) as client:
                fields = [("Proxy-Authorization", f"Basic {credentials}")]
                statuses[password] = client.get(network.origin.url("/", HOST), fields).status
    assert statuses == {"of the team": 200, "another": 407}


def test_without_a_user_name_every_client_with_a_stored_password_can_log_in(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session
) -> None:
    for user in ("ann", "ben"):
        arguments = ("--client-password", f"--client_username={user}")
        run_action(tmp_path, *arguments, stdin=f"of {user}\n", environment=unlocked.environment)
    url = network.origin.url("/")
    with PxProcess(tmp_path, "--noproxy=*", "--client_auth=NTLM", environment=unlocked.environment) as px:
        for user, password, status in (
            ("ann", "of ann", 200),
            ("CORP\\ben", "of ben", 200),
            ("ann", "of ben", 407),
            ("carol", "of carol", 407),
        ):
            with Client(px.port) as client:
                assert get_by(client, url, user, password).status == status, user


@pytest.mark.parametrize("secret", [Secret.PASSWORD, Secret.NT_HASH])
def test_a_secret_in_the_environment_comes_before_the_stored_one(
    network: CorporateNetwork, tmp_path: Path, unlocked: Session, secret: Secret
) -> None:
    store(tmp_path, unlocked, "wrong and never sent")
    login = replace(_LOGIN, secret=secret)
    with (
        bad_passwords(network, network.ad.bob),
        login.running_px(network, tmp_path, **unlocked.environment) as px,
        Client(px.port) as client,
    ):
        exchanges.get(client, network)


def test_px_with_a_ticket_needs_no_password(
    network: CorporateNetwork, tmp_path: Path, session: Session
) -> None:
    """Without a keyring Px warns once and continues."""
    login = Login("negotiate", "negotiate", 1, 0, "ad.alice", kerberos=Kerberos.TICKET, secret=Secret.NOTHING)
    environment = {**session.environment, **LENIENT}
    with (
        login.running_px(network, tmp_path, "--username=alice@AD.TEST", **environment) as px,
        Client(px.port) as client,
    ):
        exchanges.get(client, network)
        assert px.output.count("warning: no stored password of alice@AD.TEST: there is no keyring") == 1


def test_px_warns_of_a_locked_keyring(tmp_path: Path, session: Session) -> None:
    environment = {**session.environment, **LENIENT}
    with session.gnome_keyring():
        store(tmp_path, session, "pw")
    with session.gnome_keyring(is_unlocked=False):
        with PxProcess(tmp_path, "--proxy=127.0.0.1:1", f"--username={USER}", environment=environment) as px:
            assert f"warning: no stored password of {USER}: the system's keyring is locked" in px.output
        done = run_action(tmp_path, "--password", f"--username={USER}", stdin="pw", environment=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("px: --password: the system's keyring is locked; unlock it, or set PX_")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_keyring_that_never_answers_delays_clients_but_refuses_none(
    network: CorporateNetwork, tmp_path: Path, session: Session
) -> None:
    login = Login("negotiate", "negotiate", 1, 0, "ad.alice", kerberos=Kerberos.TICKET, secret=Secret.NOTHING)
    variables = {**login.environment(network, tmp_path), **session.environment, **LENIENT}
    options = [*login.arguments(network), "--username=alice@AD.TEST"]
    moments: list[float] = []

    def ask(port: int) -> None:
        assert next_asked() == "Get"
        moments.append(time.monotonic())
        with Client(port) as client:
            moments.append(time.monotonic())
            exchanges.get(client, network)
            moments.append(time.monotonic())

    with session.silent_service() as next_asked:
        px = PxProcess(tmp_path, *options, environment=variables)
        asking = threading.Thread(target=ask, args=(px.port,))
        asking.start()
        with px:
            asking.join()
            asked, connected, answered = moments
            assert connected - asked < 1
            assert 8 < answered - asked < 15
            assert px.output.count("warning: no stored password of") == 1
            assert "did not answer within 10 s" in px.output

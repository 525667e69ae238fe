"""``px --setup`` at a real Squid, domain and KDC: what a person types, sees, and has afterwards."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("needs a keyring of Linux", allow_module_level=True)

from tests.corpnet.network import CorporateNetwork
from tests.free_ports import free_port
from tests.px_process import PxProcess, run_action
from tests.secret_service import Session, dbus_session

from .exchanges import HOST
from .http_client import Client
from .newcomer import environment_of, log_in, read_to_end, set_up, set_up_bob
from .squid_watch import Watch, bad_passwords

WRONG = "Wr0ng-Secret-77e1"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """Yield a D-Bus session with an unlocked keyring."""
    tmp_path.chmod(0o700)
    with dbus_session(tmp_path / "session") as session, session.gnome_keyring():
        yield session


@contextlib.contextmanager
def ended(px: PxProcess) -> Iterator[None]:
    """End the Px that a set-up has started, whatever happens."""
    try:
        yield
    finally:
        assert px.command("--quit").returncode in {0, 3}


def ask(px: PxProcess, site: str) -> int:
    with Client(px.port) as client:
        return client.get(site).status


def saved(directory: Path) -> list[Path]:
    """The files that a set-up leaves, but for what Px remembers of logins."""
    return [path for path in (directory / "home" / "config").rglob("*") if path.is_file()]


@pytest.mark.shows("--setup")
def test_a_newcomer_gets_a_px_that_works_now_and_after_a_restart(
    network: CorporateNetwork, tmp_path: Path, session: Session
) -> None:
    bob, upstream = network.ad.bob, f"localhost:{network.ntlm.port}"
    user, site, environment = (
        f"ADTEST\\{bob.name}",
        network.origin.url("/", HOST),
        environment_of(session, tmp_path),
    )
    px = PxProcess(tmp_path, environment=environment)
    with bad_passwords(network, bob), ended(px):
        shown = set_up_bob(network, px)
        assert bob.password not in shown
        for line in (
            f"Proxy     http://{upstream}\n",
            "Offers    NTLM\n",
            f"Login     as {user}, password from the keyboard, by NTLM\n",
            f"Test      GET {site}: 200 OK (",
            "Saved     ~/config/px/px.ini\n          the password, in the Secret Service",
            f"Started   127.0.0.1:{px.port}, ",
            f'Next      eval "$(px --env --port={px.port})"\n',
        ):
            assert line in shown, shown
        assert ask(px, site) == 200
        assert px.command("--restart").returncode == 0  # then the password is that of the keyring alone
        assert ask(px, site) == 200
    names = sorted(path.name for path in saved(tmp_path))
    assert names == ["px.ini", "px.service", "px.service"]
    assert all(bob.password not in path.read_text() for path in saved(tmp_path))


@pytest.mark.shows("--setup")
def test_a_wrong_password_costs_one_attempt_and_saves_nothing(
    network: CorporateNetwork, tmp_path: Path, session: Session
) -> None:
    carol, environment = network.ad.carol, environment_of(session, tmp_path)
    user, site, port = f"ADTEST\\{carol.name}", network.origin.url("/", HOST), free_port()
    with (
        bad_passwords(network, carol, at_least=1, at_most=1),
        set_up(tmp_path, environment, f"--setup={site}", f"--port={port}") as terminal,
    ):
        log_in(terminal, f"localhost:{network.ntlm.port}", user, WRONG)
        shown = read_to_end(terminal, 4)
    said = " ".join(shown.split())
    assert (
        f"Login FAILED: The upstream http://localhost:{network.ntlm.port} refused the login of {user}" in said
    )
    assert "fix: Check the user name and the password" in said
    assert said.endswith("px: nothing was saved")
    assert WRONG not in shown
    assert saved(tmp_path) == []
    done = run_action(tmp_path, "--password", f"--username={user}", stdin="\n", environment=environment)
    assert "No password of" in done.stdout


@pytest.mark.shows("--setup", "--yes")
def test_with_a_ticket_and_yes_px_asks_nothing_and_a_second_setup_replaces_the_first(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    environment = network.mit.realm.kinit(network.mit.alice, tmp_path / "ccache")
    px, watch = PxProcess(tmp_path, environment=environment), Watch(network.kerberos)
    site, pids = network.origin.url("/", HOST), []
    with ended(px):
        for _ in range(2):
            options = ("--yes", "--workers=1", f"--proxy=localhost:{network.kerberos.port}")
            done = px.command(f"--setup={site}", *options)
            assert done.returncode == 0, done.stdout + done.stderr
            assert f"Login     ticket {network.mit.alice.name}@MIT.TEST until " in done.stdout
            assert done.stderr == ""
            pids.append(px.status()["pid"])
    assert pids[0] != pids[1]
    assert set(watch.schemes()) == {"negotiate"}

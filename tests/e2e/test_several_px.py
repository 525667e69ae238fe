"""Several Px processes of one user share a record of refused logins and make one login at a time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid_config import DENIED_HOSTS
from tests.px_process import PxProcess, until

from . import exchanges
from .concurrency import at_once
from .exchanges import HOST
from .http_client import Answer, Body, Client
from .logins import LOGINS, Kerberos, Login, only
from .squid_watch import bad_passwords

WRONG = "Wr0ng-Secret-5c7d"
_DOMAIN = "ADTEST\\{name}"
_UPN = "{name}@AD.TEST"
#: The longest time for a refusal, even with 24 requests at once on a busy machine.
_QUICKLY_SECONDS = 5.0
_BURST_SECONDS = 3.0

_CASES = {
    "ntlm": Login("ntlm", "ntlm", 2, 1, "ad.carol", _DOMAIN),
    "multi": Login("multi", "negotiate", 2, 1, "ad.carol", _DOMAIN),
    "basic": Login("basic_ad", "basic", 1, 0, "ad.carol", _DOMAIN),
    "negotiate-kerberos": Login("negotiate", "negotiate", 2, 1, "ad.carol", _UPN, kerberos=Kerberos.KDC),
    "multi-kerberos": Login("multi", "negotiate", 2, 1, "ad.carol", _UPN, kerberos=Kerberos.KDC),
}

_Ask = Callable[[Client, CorporateNetwork], Answer]


def _get(client: Client, network: CorporateNetwork) -> Answer:
    return client.get(network.origin.url("/", HOST))


def _post(client: Client, network: CorporateNetwork) -> Answer:
    return client.request("POST", network.origin.url("/upload", HOST), Body(exchanges.SMALL_BYTES))


def _connect(client: Client, network: CorporateNetwork) -> Answer:
    return client.connect(f"{HOST}:{network.origin.tls_port}")


_ASKS: Sequence[_Ask] = (_get, _post, _connect)


@contextmanager
def _several_px(
    network: CorporateNetwork, directory: Path, login: Login, count: int, *arguments: str, **environment: str
) -> Iterator[list[PxProcess]]:
    """Yield Px processes that differ only in their ports."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(login.running_px(network, directory, *arguments, **environment))
            for _ in range(count)
        ]


def _ask(px: PxProcess, network: CorporateNetwork, number: int) -> tuple[Answer, float]:
    started = time.monotonic()
    with Client(px.port) as client:
        answer = _ASKS[number % len(_ASKS)](client, network)
    return answer, time.monotonic() - started


def _ask_all(
    running: Sequence[PxProcess], network: CorporateNetwork, count: int
) -> list[tuple[Answer, float]]:
    """Send this many requests of all kinds at once, alternating between the processes."""
    return at_once(
        [partial(_ask, running[number % len(running)], network, number // 2) for number in range(count)]
    )


@pytest.mark.parametrize(("count", "workers"), [(2, 1), (4, 1), (1, 4)])
@pytest.mark.parametrize("login", [pytest.param(login, id=name) for name, login in _CASES.items()])
def test_a_wrong_password_is_tried_twice_at_most_over_all_processes(
    network: CorporateNetwork, tmp_path: Path, login: Login, count: int, workers: int
) -> None:
    user = login.account(network)
    with (
        bad_passwords(network, user, at_least=1, at_most=2),
        _several_px(network, tmp_path, login, count, f"--workers={workers}", PX_PASSWORD=WRONG) as running,
    ):
        for answer, seconds in _ask_all(running, network, 24):
            assert answer.status == 502, answer
            assert user.name in answer.text
            assert seconds < _QUICKLY_SECONDS
        for number in range(3 * workers):  # whichever worker accepts the connection
            for px in running:
                _check_blocked(px, network, number)


def _check_blocked(px: PxProcess, network: CorporateNetwork, number: int = 0) -> None:
    answer, seconds = _ask(px, network, number)
    assert answer.status == 502
    assert seconds < 1
    assert "no more logins" in answer.text
    assert int(answer.header("retry-after")) >= 1


@pytest.mark.parametrize(("count", "workers"), [(4, 1), (1, 4)])
@pytest.mark.parametrize(
    "login", only("ntlm", "multi-no-ticket", "basic-ad-non-ascii", "kerberos-ad-password")
)
def test_the_first_burst_over_all_processes_is_served_quickly(
    network: CorporateNetwork, tmp_path: Path, login: Login, count: int, workers: int
) -> None:
    def measure_burst() -> float:
        with (
            bad_passwords(network, login.account(network)),
            _several_px(network, tmp_path, login, count, f"--workers={workers}") as running,
        ):
            started = time.monotonic()
            answers = _ask_all(running, network, 50)
            seconds = time.monotonic() - started
            assert [answer.status for answer, _ in answers] == [200] * 50
            return seconds

    measure_burst()  # Squid starts its helpers with its first login
    # A delay by Px itself happens each time; a delay by other programs may happen once.
    assert any(measure_burst() < _BURST_SECONDS for _ in range(3))


def test_a_changed_password_is_tried_and_the_old_one_stays_blocked(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    login = _CASES["ntlm"]
    with _several_px(network, tmp_path, login, 2, PX_PASSWORD=WRONG) as running:
        with bad_passwords(network, login.account(network), at_least=1, at_most=2):
            _ask_all(running, network, 6)
        with login.running_px(network, tmp_path) as right, Client(right.port) as client:
            exchanges.get(client, network)
        for px in running:
            answer, _ = _ask(px, network, 0)
            assert answer.status == 502
            assert "accepted another one since" in answer.text


def test_all_processes_try_a_new_ticket(network: CorporateNetwork, tmp_path: Path) -> None:
    """The proxy of one realm refuses the ticket of the other realm."""
    config = tmp_path / "krb5.conf"
    config.write_text(_both_realms(network))
    cache = tmp_path / "ccache"
    proxy = f"--proxy=http://localhost:{network.kerberos.port}"
    environment = {"KRB5CCNAME": f"FILE:{cache}", "KRB5_CONFIG": str(config)}
    network.ad.realm.kinit(network.ad.alice, cache)
    with ExitStack() as stack:
        running = [
            stack.enter_context(PxProcess(tmp_path, proxy, "--verbose", environment=environment))
            for _ in range(2)
        ]
        for _ in range(2):
            for px in running:
                assert _ask(px, network, 0)[0].status == 502
        for px in running:
            _check_blocked(px, network)
        network.mit.realm.kinit(network.mit.alice, cache)
        for px in running:
            assert _ask(px, network, 0)[0].status == 200


def _both_realms(network: CorporateNetwork) -> str:
    """Return a krb5.conf with which Kerberos asks the realm of each user for the ticket for the proxy."""
    realms = (network.ad.realm, network.mit.realm)
    kdcs = [re.findall(r"\s(kdc = \S+)", realm.krb5_config.read_text())[0] for realm in realms]
    places = "".join(
        f"  {realm.name} = {{\n    {kdc}\n  }}\n" for realm, kdc in zip(realms, kdcs, strict=True)
    )
    first = realms[0].krb5_config.read_text().partition("[realms]")[0]
    return f"{first}[realms]\n{places}"


def test_sites_that_a_rule_denies_do_not_block_the_account(network: CorporateNetwork, tmp_path: Path) -> None:
    """The proxy answers 407 for these sites to every user; two processes ask for all of them at once."""
    login = LOGINS["ntlm"]
    with bad_passwords(network, login.account(network)), _several_px(network, tmp_path, login, 2) as running:
        assert [answer.status for answer, _ in _ask_all(running, network, 2)] == [200, 200]
        for _ in range(2):
            asks = [partial(_get_from, px, network, host) for px in running for host in DENIED_HOSTS]
            assert {answer.status for answer in at_once(asks * 2)} == {403}
        assert {answer.status for answer, _ in _ask_all(running, network, 6)} == {200}


def _get_from(px: PxProcess, network: CorporateNetwork, host: str, path: str = "/") -> Answer:
    with Client(px.port) as client:
        return client.get(network.origin.url(path, host))


@pytest.mark.parametrize(
    ("what_happens", "timeout", "limit_seconds"), [("killed", 30, 2), ("stopped", 1, 5), ("slow", 1, 5)]
)
def test_a_login_that_does_not_end_delays_other_processes_only_briefly(
    network: CorporateNetwork, tmp_path: Path, what_happens: str, timeout: int, limit_seconds: float
) -> None:
    """A killed process frees the login gate. A stopped process, or one that waits for a slow site, keeps it.

    Then the other processes wait for socktimeout and verify the secret.
    """
    login = LOGINS["ntlm"]
    with (
        bad_passwords(network, login.account(network)),
        ThreadPoolExecutor(1) as pool,
        _several_px(network, tmp_path, login, 3, f"--socktimeout={timeout}") as (first, *others),
    ):
        asked = pool.submit(_get_from, first, network, HOST, "/slow/8")
        until(lambda: _is_token_out(_state(tmp_path) / "lockout.json"))
        if what_happens == "killed":
            first.kill()
        elif what_happens == "stopped":
            os.kill(first.pid, signal.SIGSTOP)
        for answer, seconds in _ask_all(others, network, 12):
            assert answer.status == 200
            assert seconds < limit_seconds
        if what_happens == "killed":
            with pytest.raises(ConnectionError):
                asked.result()
            # the token of the killed process is settled
            assert (_state(tmp_path) / "lockout.json").read_text() == "{}"
        elif what_happens == "slow":
            assert asked.result().status == 200
        else:
            os.kill(first.pid, signal.SIGCONT)


def _state(directory: Path) -> Path:
    return directory / "home" / "state" / "px"


def _is_token_out(memory: Path) -> bool:
    return memory.exists() and any(record["out"] for record in json.loads(memory.read_text()).values())


def _spoil_directory(directory: Path) -> None:
    _state(directory).parent.parent.mkdir(exist_ok=True)
    _state(directory).parent.write_text(
        ""
    )  # Px cannot create it, so it uses the directory for temporary files


def _spoil_record(directory: Path, spoil: Callable[[Path], object]) -> None:
    _state(directory).mkdir(parents=True, mode=0o700)
    spoil(_state(directory) / "lockout.json")


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_spoil_directory, id="no-directory"),
        pytest.param(partial(_spoil_record, spoil=lambda path: path.write_text('{"a')), id="garbage"),
        pytest.param(partial(_spoil_record, spoil=lambda path: path.write_bytes(b" " * 10**7)), id="huge"),
        pytest.param(partial(_spoil_record, spoil=lambda path: path.mkdir()), id="directory"),
        pytest.param(partial(_spoil_record, spoil=lambda path: path.symlink_to("/dev/zero")), id="link"),
    ],
)
def test_processes_with_a_damaged_record_try_a_wrong_password_twice_at_most(
    network: CorporateNetwork, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(tmp_path)
    (tmp_path / "temporary").mkdir()
    login, temporary = _CASES["ntlm"], str(tmp_path / "temporary")
    with (
        bad_passwords(network, login.account(network), at_least=1, at_most=2),
        _several_px(network, tmp_path, login, 3, PX_PASSWORD=WRONG, TMPDIR=temporary) as running,
    ):
        for answer, _ in _ask_all(running, network, 12):
            assert answer.status == 502
        for px in running:
            _check_blocked(px, network)


@contextmanager
def _full_disk(directory: Path) -> Iterator[None]:
    """Put the state directory on a full disk."""
    state = _state(directory)
    state.mkdir(parents=True, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(state)], check=True)
    try:
        with contextlib.suppress(OSError), (state / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)


@pytest.mark.lockout
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a disk")
def test_three_starts_with_a_full_disk_cost_two_refusals_at_most(
    network: CorporateNetwork, tmp_path: Path
) -> None:
    login = LOGINS["ntlm"]
    (tmp_path / "memory").mkdir(mode=0o700)
    environment = {"PX_PASSWORD": WRONG, "XDG_RUNTIME_DIR": str(tmp_path / "memory")}
    with _full_disk(tmp_path), bad_passwords(network, login.account(network), at_least=1, at_most=2):
        for _ in range(3):
            with login.running_px(network, tmp_path, "--workers=4", **environment) as px:
                for answer, _ in _ask_all([px], network, 12):
                    assert answer.status == 502


@pytest.mark.lockout
def test_spellings_of_one_account_share_its_budget(network: CorporateNetwork, tmp_path: Path) -> None:
    bob, proxy = network.ad.bob, f"--proxy=http://localhost:{network.ntlm.port}"
    names = (f"ADTEST\\{bob.name}", f"{bob.name}@{network.ad.realm.name}", bob.name.upper())
    with bad_passwords(network, bob, at_least=1, at_most=2):
        for name in names:
            environment = {"PX_PASSWORD": WRONG}
            with PxProcess(tmp_path, proxy, f"--username={name}", environment=environment) as px:
                for answer, _ in _ask_all([px], network, 6):
                    assert answer.status == 502


@pytest.mark.lockout
def test_five_reloads_in_a_row_cost_one_login(network: CorporateNetwork, tmp_path: Path) -> None:
    login = LOGINS["ntlm"]
    with (
        bad_passwords(network, login.account(network), at_least=3, at_most=3),
        login.running_px(network, tmp_path, PX_PASSWORD=WRONG) as px,
    ):
        _ask_all([px], network, 6)
        for _ in range(5):
            assert px.command("--reload").returncode == 0
            _ask_all([px], network, 4)

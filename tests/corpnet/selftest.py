"""The self-test: it checks that the network behaves as described."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from .checks import Check, Login, curl_by
from .network import CorporateNetwork
from .origin_checks import OriginChecks
from .proxy_checks import ProxyChecks
from .samba_ad import DOMAIN

_AT_ONCE = 4


def run_selftest(network: CorporateNetwork) -> tuple[int, list[str]]:
    """Run all checks; return their number and the faults."""
    together = [*ProxyChecks(network).all(), *OriginChecks(network).all()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        complaints = list(pool.map(Check.complaint, together))
    one_by_one = list(_checks_that_count(network))
    complaints += [check.complaint() for check in one_by_one]
    for user in network.ad.users:
        network.ad.reset_bad_password_count(user)
    return len(complaints), [complaint for complaint in complaints if complaint]


def _checks_that_count(network: CorporateNetwork) -> Iterator[Check]:
    """Yield the checks that need exclusive use of the network."""
    bob = network.ad.bob
    url = network.origin.url("/status/200", host="origin.test")
    log = network.ntlm.log

    def count_wrong_passwords() -> list[int]:
        network.ad.reset_bad_password_count(bob)
        wrong = Login(("--proxy-ntlm", "-U", f"{DOMAIN}\\{bob.name}:wrong"))
        for _ in range(2):
            curl_by(network.ntlm, url, wrong)
        counted = network.ad.bad_password_count(bob)
        network.ad.reset_bad_password_count(bob)
        return [counted, network.ad.bad_password_count(bob)]

    def log_of_login() -> list[tuple[int, str, str, str]]:
        mark = log.mark()
        right = Login(("--proxy-ntlm", "-U", f"{DOMAIN}\\{bob.name}:{bob.password}"))
        curl_by(network.ntlm, url, right)
        return [
            (entry.status, entry.method, entry.user, entry.login_scheme) for entry in log.entries_since(mark)
        ]

    yield Check("badPwdCount after two wrong passwords, and after its reset", [2, 0], count_wrong_passwords)
    yield Check(
        "access log of an NTLM login",
        [(407, "GET", "-", "ntlm"), (200, "GET", f"{DOMAIN}\\{bob.name}", "ntlm")],
        log_of_login,
    )

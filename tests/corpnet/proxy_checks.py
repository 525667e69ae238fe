"""Every proxy port with the right, the wrong and no login, by GET and by CONNECT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .checks import Check, Login, curl_by
from .kerberos import User
from .network import CorporateNetwork
from .samba_ad import DOMAIN
from .squid import Upstream
from .squid_config import BASIC, DENIED_HOSTS, DIGEST, FORBIDDEN_HOST, NEGOTIATE, NTLM

_NOBODY = Login()
_PASSWORD_SCHEMES = (NTLM, DIGEST, BASIC)


class ProxyChecks:
    """Makes the checks of the proxy ports."""

    def __init__(self, network: CorporateNetwork) -> None:
        self._network = network
        mit_ticket = network.mit.realm.kinit(network.mit.alice, network.directory / "mit.ccache")
        ad_ticket = network.ad.realm.kinit(network.ad.alice, network.directory / "ad.ccache")
        self._mit_logins = {NEGOTIATE: _ticket_login(mit_ticket), **_password_logins(network.mit.alice)}
        self._ad_logins = {
            NEGOTIATE: _ticket_login(ad_ticket),
            **_password_logins(network.ad.alice, f"{DOMAIN}\\"),
        }

    def all(self) -> Iterator[Check]:
        """Yield all checks that can run at the same time."""
        network = self._network
        for upstream in network.mit_upstreams:
            yield from self._port(upstream, self._mit_logins, network.mit.bob)
        for upstream in network.ad_upstreams:
            yield from self._port(upstream, self._ad_logins, network.ad.carol)
        yield from self._spellings_of_users()
        yield from self._denied_hosts()
        yield from self._closing_relays()
        yield from self._name_of_the_proxy()

    def _port(self, upstream: Upstream, logins: Mapping[str, Login], victim: User) -> Iterator[Check]:
        """Check that this port accepts only users who log in by its scheme.

        The wrong passwords are another user's: Squid can mix up Digest requests of one
        user that it verifies at the same time, and the domain locks a user out.
        """
        wrong = _password_logins(User(victim.name, "wrong"))
        yield from self._requests(upstream, "no login", _NOBODY, "407" if upstream.schemes else "200")
        for scheme in upstream.schemes:
            yield from self._requests(upstream, scheme, logins[scheme], "200")
            if scheme in _PASSWORD_SCHEMES:
                yield from self._requests(upstream, f"{scheme}, wrong password", wrong[scheme], "407")
        if upstream.schemes and BASIC not in upstream.schemes:
            yield from self._requests(upstream, "basic, not offered", logins[BASIC], "407")

    def _requests(self, upstream: Upstream, description: str, login: Login, status: str) -> Iterator[Check]:
        """Check a GET, a tunnel to the plain port and one to the TLS port of the origin."""
        origin = self._network.origin
        trust = str(self._network.ca_file)
        for kind, url, options in (
            ("GET", origin.url(host="origin.test"), ()),
            ("CONNECT", origin.url(host="origin.test"), ("-p",)),
            ("CONNECT for TLS", origin.tls_url(host="origin.test"), ("--cacert", trust)),
        ):
            yield self._check(upstream, f"{description}, {kind}", url, login, status, *options)

    def _check(
        self, upstream: Upstream, description: str, url: str, login: Login, status: str, *options: str
    ) -> Check:
        trust = ("--proxy-cacert", str(self._network.ca_file)) if upstream.tls else ()
        return Check(
            f"{upstream.name} ({upstream.port}), {description}",
            status,
            lambda: curl_by(upstream, url, login, *trust, *options),
        )

    def _spellings_of_users(self) -> Iterator[Check]:
        """Check that the domain knows a user by more names than one."""
        network = self._network
        # curl misspells names that are not ASCII in NTLM.
        for upstream, user in ((network.ntlm, network.ad.bob), (network.basic_ad, network.ad.juergen)):
            for name in (user.name, f"{user.name}@ad.test", f"{DOMAIN}\\{user.name}"):
                login = _password_logins(User(name, user.password))[upstream.schemes[0]]
                yield self._check(upstream, name, network.origin.url(), login, "200")

    def _denied_hosts(self) -> Iterator[Check]:
        """Check that these hosts are refused even to an authenticated user."""
        network = self._network
        for upstream in (network.ntlm, network.basic_ad, network.negotiate):
            login = self._ad_logins[upstream.schemes[0]]
            for host, status in (*((host, "407") for host in DENIED_HOSTS), (FORBIDDEN_HOST, "403")):
                url = network.origin.url(host=host)
                yield self._check(upstream, host, url, login, status)
                yield self._check(upstream, f"{host}, CONNECT", url, login, status, "-p")

    def _closing_relays(self) -> Iterator[Check]:
        """Check that a login survives the relay unless it is bound to its connection."""
        network = self._network
        for upstream, scheme, status in (
            (network.digest, DIGEST, "200"),
            (network.basic, BASIC, "200"),
            (network.ntlm, NTLM, "407"),
        ):
            logins = self._ad_logins if scheme == NTLM else self._mit_logins
            relay = network.closing(upstream)
            url = network.origin.url()
            yield self._check(
                relay, f"{scheme}, after a 407 the connection closes", url, logins[scheme], status
            )

    def _name_of_the_proxy(self) -> Iterator[Check]:
        """Check Kerberos for the name proxy.test, which exists only by the wrapper library."""
        network = self._network
        for upstream, logins in ((network.kerberos, self._mit_logins), (network.negotiate, self._ad_logins)):
            login = logins[NEGOTIATE]
            proxy = f"http://proxy.test:{upstream.port}"
            by_name = Login((*login.options, "-x", proxy), login.env | network.nss_wrapper_env())
            yield self._check(upstream, "as proxy.test", network.origin.url(), by_name, "200")


def _password_logins(user: User, prefix: str = "") -> dict[str, Login]:
    return {
        scheme: Login((f"--proxy-{scheme}", "-U", f"{prefix}{user.name}:{user.password}"))
        for scheme in _PASSWORD_SCHEMES
    }


def _ticket_login(env: dict[str, str]) -> Login:
    return Login(("--proxy-negotiate", "-U", ":"), env)

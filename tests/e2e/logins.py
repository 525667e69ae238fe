"""A table of all ways to log in: the upstream, the user, the form of the secret, and the expected 407s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from px.core.auth.ntlm.md4 import nt_hash
from tests.corpnet.kerberos import Realm, User
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Upstream
from tests.px_process import PxProcess


class Secret(Enum):
    """The form in which Px gets the secret."""

    PASSWORD = auto()
    NT_HASH = auto()
    NOTHING = auto()


class Kerberos(Enum):
    """The Kerberos files that Px finds: a ticket, only a krb5.conf, or neither."""

    TICKET = auto()
    KDC = auto()  # no ticket, but krb5.conf names the KDC
    NOTHING = auto()


@dataclass(frozen=True)
class Login:
    """One way to log in at one port.

    Attributes:
        port: Name of the upstream in `CorporateNetwork`.
        scheme: The scheme that Squid must log.
        first: The number of 407s of the first contact.
        cold: The number of 407s of each later new connection.
        user: ``ad.bob``, ``mit.alice``...
        spelling: How ``--username`` spells the user name.
        secret: The form in which Px gets the secret.
        kerberos: The Kerberos files that Px finds.
        host: The host of the upstream; with an address Kerberos is not possible.
        options: More options for Px.
        closing: Whether to use the relay that closes the connection after each 407.
        keep_alive: False: use the Squid that closes the connection after its first 407.
    """

    port: str
    scheme: str
    first: int
    cold: int
    user: str
    spelling: str = "{name}"
    secret: Secret = Secret.PASSWORD
    kerberos: Kerberos = Kerberos.NOTHING
    host: str = "localhost"
    options: tuple[str, ...] = ()
    closing: bool = False
    keep_alive: bool = True

    @property
    def is_bound(self) -> bool:
        """Whether the login belongs to the connection."""
        return self.scheme in ("ntlm", "negotiate")

    @property
    def is_ad(self) -> bool:
        """Whether the user is in the domain, which counts wrong passwords."""
        return self.user.startswith("ad.")

    def account(self, network: CorporateNetwork) -> User:
        """Return the user."""
        realm, name = self.user.split(".")
        user = getattr(getattr(network, realm), name)
        assert isinstance(user, User)
        return user

    def upstream(self, network: CorporateNetwork) -> Upstream:
        """Return the port. Its log is Squid's, even if a relay is in front of it."""
        place = network if self.keep_alive else network.no_keep_alive
        upstream = getattr(place, self.port)
        assert isinstance(upstream, Upstream)
        return network.closing(upstream) if self.closing else upstream

    def proxy(self, network: CorporateNetwork) -> str:
        """Return the upstream as it is written after ``--proxy=``."""
        upstream = self.upstream(network)
        return f"{'https' if upstream.tls else 'http'}://{self.host}:{upstream.port}"

    def environment(self, network: CorporateNetwork, directory: Path) -> dict[str, str]:
        """Return the variables with the secret, the ticket and the trust."""
        realm = network.ad.realm if self.is_ad else network.mit.realm
        environment = kerberos_environment(self.kerberos, realm, self.account(network), directory)
        password = self.account(network).password
        if self.secret is Secret.PASSWORD:
            environment["PX_PASSWORD"] = password
        elif self.secret is Secret.NT_HASH:
            environment["PX_NTHASH"] = nt_hash(password).hex()
        if self.upstream(network).tls:
            environment["SSL_CERT_FILE"] = str(network.ca_file)
        return environment

    def arguments(self, network: CorporateNetwork) -> list[str]:
        """Return the options of Px."""
        named = [] if self.secret is Secret.NOTHING else [f"--username={self.username(network)}"]
        return [f"--proxy={self.proxy(network)}", *named, "--verbose", *self.options]

    def username(self, network: CorporateNetwork) -> str:
        """Return the user name as Px gets it."""
        return self.spelling.format(name=self.account(network).name)

    @contextmanager
    def running_px(
        self, network: CorporateNetwork, directory: Path, *arguments: str, **environment: str
    ) -> Iterator[PxProcess]:
        """Yield a Px that logs in this way."""
        variables = {**self.environment(network, directory), **environment}
        with PxProcess(directory, *self.arguments(network), *arguments, environment=variables) as px:
            yield px


def kerberos_environment(kerberos: Kerberos, realm: Realm, user: User, directory: Path) -> dict[str, str]:
    """Return the variables for Kerberos; they hide the configuration and tickets of this machine."""
    cache = directory / "ccache"
    if kerberos is Kerberos.TICKET:
        return realm.kinit(user, cache)
    environment = {"KRB5CCNAME": f"FILE:{cache}"}
    if kerberos is Kerberos.KDC:
        return {**environment, **realm.env}
    config = directory / "krb5.conf"
    config.write_text("[libdefaults]\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n")
    return {**environment, "KRB5_CONFIG": str(config)}


_DOMAIN = "ADTEST\\{name}"
_UPN = "{name}@ad.test"


def _ntlm(port: str = "ntlm", *, user: str = "ad.bob", spelling: str = _DOMAIN) -> Login:
    return Login(port, "ntlm", first=2, cold=1, user=user, spelling=spelling)


def _ticket(port: str, user: str) -> Login:
    kerberos = Kerberos.TICKET
    return Login(port, "negotiate", first=1, cold=0, user=user, secret=Secret.NOTHING, kerberos=kerberos)


def _ticket_by_password(port: str, user: str, realm: str) -> Login:
    spelling, kerberos = "{name}@" + realm, Kerberos.KDC
    return Login(port, "negotiate", first=1, cold=0, user=user, spelling=spelling, kerberos=kerberos)


def _ntlm_in_negotiate(port: str = "negotiate") -> Login:
    return Login(port, "negotiate", first=2, cold=1, user="ad.bob", spelling=_DOMAIN)


def _password(port: str, scheme: str, user: str = "mit.alice", spelling: str = "{name}") -> Login:
    return Login(port, scheme, first=1, cold=0, user=user, spelling=spelling)


#: Every way to log in that has to work.
LOGINS = {
    "ntlm": _ntlm(),
    "ntlm-hash": replace(_ntlm(), secret=Secret.NT_HASH),
    "ntlm-upn": _ntlm(spelling=_UPN),
    "ntlm-non-ascii": _ntlm(user="ad.juergen"),
    "ntlm-non-ascii-hash": replace(_ntlm(user="ad.juergen"), secret=Secret.NT_HASH),
    "ntlm-non-ascii-upn": _ntlm(user="ad.juergen", spelling=_UPN),
    "ntlm-tls": _ntlm("ntlm_tls"),
    "ntlm-no-keep-alive": replace(_ntlm(), keep_alive=False),
    "kerberos-ad-ticket": _ticket("negotiate", "ad.alice"),
    "kerberos-ad-password": _ticket_by_password("negotiate", "ad.alice", "AD.TEST"),
    "kerberos-ad-no-keep-alive": replace(_ticket("negotiate", "ad.alice"), keep_alive=False),
    "kerberos-mit-ticket": _ticket("kerberos", "mit.alice"),
    "kerberos-mit-password": _ticket_by_password("kerberos", "mit.alice", "MIT.TEST"),
    "kerberos-mit-closing": replace(_ticket("kerberos", "mit.alice"), closing=True),
    "kerberos-tls": _ticket("kerberos_tls", "mit.alice"),
    "negotiate-no-ticket": _ntlm_in_negotiate(),
    "negotiate-by-address": replace(_ntlm_in_negotiate(), host="127.0.0.1", kerberos=Kerberos.KDC),
    "negotiate-no-ticket-hash": replace(_ntlm_in_negotiate(), secret=Secret.NT_HASH),
    "negotiate-no-keep-alive": replace(_ntlm_in_negotiate(), keep_alive=False),
    "digest": _password("digest", "digest"),
    "digest-closing": replace(_password("digest", "digest"), closing=True),
    "basic": _password("basic", "basic"),
    "basic-closing": replace(_password("basic", "basic"), closing=True),
    "basic-ad-non-ascii": _password("basic_ad", "basic", "ad.juergen", _DOMAIN),
    "multi-ticket": _ticket("multi", "ad.alice"),
    "multi-no-ticket": _ntlm_in_negotiate("multi"),
    "multi-only-ntlm": replace(_ntlm("multi"), options=("--auth=ONLYNTLM",)),
    "multi-only-basic": replace(
        _password("multi", "basic", "ad.bob", _DOMAIN), options=("--auth=ONLYBASIC",)
    ),
    "all-mit-ticket": _ticket("all_mit", "mit.alice"),
    "all-mit-no-negotiate": replace(_password("all_mit", "digest"), options=("--auth=NONEGOTIATE",)),
    "all-mit-only-basic": replace(_password("all_mit", "basic"), options=("--auth=ONLYBASIC",)),
}


def only(*names: str) -> list[ParameterSet]:
    """Return the named ones of `LOGINS` as parameters of a test; without names, all."""
    return [pytest.param(LOGINS[name], id=name) for name in names or LOGINS]

"""The whole corporate network."""

from __future__ import annotations

import json
import socket
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from .certificates import Certificates, create_certificates
from .mit_kdc import MitKdc
from .ports import LOOPBACK
from .processes import Processes
from .samba_ad import SambaAd
from .squid import HELPERS, Squid, Upstream, write_basic_passwords, write_digest_passwords
from .squid_config import (
    BASIC,
    DENIED_HOSTS,
    DIGEST,
    FORBIDDEN_HOST,
    NEGOTIATE,
    NTLM,
    Port,
    SquidPlace,
    SquidSettings,
)

#: The last one is the site that Px tests with.
ORIGIN_HOSTS = (
    "origin.test",
    "www.origin.test",
    "intranet.test",
    *DENIED_HOSTS,
    FORBIDDEN_HOST,
    "www.example.com",
)

_MIT_PORTS = (
    Port("kerberos", (NEGOTIATE,)),
    Port("digest", (DIGEST,)),
    Port("basic", (BASIC,)),
    Port("open", ()),
    Port("kerberos_tls", (NEGOTIATE,), tls=True),
    Port("all_mit", (NEGOTIATE, DIGEST, BASIC)),
)
_STALE_PORTS = (Port("digest_stale", (DIGEST,)),)
_AD_PORTS = (
    Port("ntlm", (NTLM,)),
    Port("negotiate", (NEGOTIATE,)),
    Port("multi", (NEGOTIATE, NTLM, BASIC)),
    Port("ntlm_tls", (NTLM,), tls=True),
    Port("basic_ad", (BASIC,)),
)

_NONCES = ("auth_param digest nonce_max_count 50",)
_SHORT_NONCES = (
    "auth_param digest nonce_max_count 3",
    "auth_param digest nonce_max_duration 2 seconds",
    "auth_param digest nonce_garbage_interval 1 second",
)


@dataclass(frozen=True)
class OriginPorts:
    """The ports of the origin; the IPv6 port is None on a computer without ::1."""

    port: int
    tls_port: int
    ipv6_port: int | None = None

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return a URL of the origin. Only Squid can resolve `origin.test`."""
        return f"http://{host}:{self.port}{path}"

    def tls_url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return an HTTPS URL of the origin."""
        return f"https://{host}:{self.tls_port}{path}"


@dataclass(frozen=True)
class AdUpstreams:
    """The ports of a Squid whose users are in the domain."""

    ntlm: Upstream
    negotiate: Upstream
    multi: Upstream
    ntlm_tls: Upstream
    basic_ad: Upstream


class CorporateNetwork:
    """Two realms, four Squids and an origin. A context manager; or call `start` and `stop`.

    Every attribute of type Upstream is a proxy port, named after the login scheme that it requires.
    """

    # Users of MIT.TEST, and the same users in password files.
    kerberos: Upstream
    digest: Upstream
    digest_stale: Upstream
    basic: Upstream
    open: Upstream
    kerberos_tls: Upstream
    all_mit: Upstream
    # Users of the domain ADTEST.
    ntlm: Upstream
    negotiate: Upstream
    multi: Upstream
    ntlm_tls: Upstream
    basic_ad: Upstream
    no_keep_alive: AdUpstreams

    origin: OriginPorts
    certificates: Certificates

    def __init__(self) -> None:
        self._processes = Processes()
        self._closing: dict[int, Upstream] = {}
        self.directory = self._processes.directory
        self.mit = MitKdc(self._processes)
        self.ad = SambaAd(self._processes)
        self.squid_mit = Squid(self._processes, "mit")
        self.squid_stale = Squid(self._processes, "stale")
        self.squid_ad = Squid(self._processes, "ad")
        self.squid_ad_no_keep_alive = Squid(self._processes, "adclose")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything; when that fails or is interrupted, stop what has been started."""
        pool = ThreadPoolExecutor()
        try:
            self._processes.start()
            self.certificates = create_certificates(self._processes, ("proxy.test", *ORIGIN_HOSTS))
            self._place = self._describe_place()
            parts = [pool.submit(part) for part in (self._start_ad, self._start_mit, self._start_origin)]
            for part in wait(parts, return_when=FIRST_EXCEPTION).done:
                part.result()
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown()

    def stop(self) -> None:
        """End every process and remove every file."""
        self._processes.stop()

    @property
    def ca_file(self) -> Path:
        """Return the certificate that clients of the TLS ports must trust."""
        return self.certificates.ca_file

    @property
    def mit_upstreams(self) -> list[Upstream]:
        """Return the ports for users of MIT.TEST."""
        return [getattr(self, port.name) for port in (*_MIT_PORTS, *_STALE_PORTS)]

    @property
    def ad_upstreams(self) -> list[Upstream]:
        """Return the ports for users of the domain."""
        ports = [getattr(self, port.name) for port in _AD_PORTS]
        return [*ports, *vars(self.no_keep_alive).values()]

    def closing(self, upstream: Upstream) -> Upstream:
        """Return the port of a relay that closes the client's connection after each 407."""
        if upstream.port not in self._closing:
            ports = self._spawn_listener(f"relay-{upstream.port}", "relay", str(upstream.port))
            name = f"{upstream.name}_closing"
            self._closing[upstream.port] = replace(upstream, name=name, port=ports["port"])
        return self._closing[upstream.port]

    def nss_wrapper_env(self) -> dict[str, str]:
        """Return the environment in which the name `proxy.test` exists."""
        return {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": str(self._place.hosts_file)}

    def _describe_place(self) -> SquidPlace:
        hosts_file = self.directory / "hosts"
        # This includes the name of this computer, which Squid's Kerberos helper must be able to resolve.
        names = " ".join(("proxy.test", *ORIGIN_HOSTS, socket.gethostname()))
        hosts_file.write_text(f"{LOOPBACK} {names}\n")
        hosts_file.chmod(0o644)
        return SquidPlace(hosts_file, self.certificates)

    def _start_origin(self) -> None:
        certificates = self.certificates
        ports = self._spawn_listener(
            "origin", "origin", str(certificates.server_file), str(certificates.server_key)
        )
        self.origin = OriginPorts(**ports)

    def _start_mit(self) -> None:
        self.mit.start()
        digest_file, basic_file = self.directory / "digest.passwords", self.directory / "basic.passwords"
        write_digest_passwords(digest_file, self.mit.users)
        write_basic_passwords(self._processes, basic_file, self.mit.users)
        digest = f"{HELPERS}/digest_file_auth -c {digest_file}"
        wrapped = " ".join(f"{name}={value}" for name, value in self.nss_wrapper_env().items())
        programs = {
            NEGOTIATE: f"/usr/bin/env {wrapped}"
            f" {HELPERS}/negotiate_kerberos_auth -k {self.mit.keytab} -s GSS_C_NO_NAME -r",
            DIGEST: digest,
            BASIC: f"{HELPERS}/basic_ncsa_auth {basic_file}",
        }
        env = self.mit.realm.env
        self._name_upstreams(
            self.squid_mit.start(_MIT_PORTS, SquidSettings(programs, _NONCES), self._place, env)
        )
        self._name_upstreams(
            self.squid_stale.start(_STALE_PORTS, SquidSettings({DIGEST: digest}, _SHORT_NONCES), self._place)
        )

    def _start_ad(self) -> None:
        self.ad.start()
        programs = {
            NEGOTIATE: self.ad.ntlm_auth("gss-spnego"),
            NTLM: self.ad.ntlm_auth("squid-2.5-ntlmssp"),
            BASIC: self.ad.ntlm_auth("squid-2.5-basic"),
        }
        self._name_upstreams(self.squid_ad.start(_AD_PORTS, SquidSettings(programs), self._place))
        closing = SquidSettings(programs, keep_alive=False)
        ports = self.squid_ad_no_keep_alive.start(_AD_PORTS, closing, self._place)
        self.no_keep_alive = AdUpstreams(
            **{name: replace(port, name=f"{name}_no_keep_alive") for name, port in ports.items()}
        )

    def _name_upstreams(self, upstreams: dict[str, Upstream]) -> None:
        for name, upstream in upstreams.items():
            setattr(self, name, upstream)  # declared at the top of the class

    def _spawn_listener(self, name: str, module: str, *arguments: str) -> dict[str, int]:
        """Start a program of this package that chooses its ports; return them."""
        ports_file = self.directory / f"{name}.ports"
        process = self._processes.spawn_python(name, module, str(ports_file), *arguments)
        self._processes.wait_until(process, ports_file.exists)
        ports: dict[str, int] = json.loads(ports_file.read_text())
        return ports

"""The configuration file of a Squid, made from a short description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .access_log import LOG_FORMAT
from .certificates import Certificates
from .ports import LOOPBACK

NEGOTIATE = "negotiate"
NTLM = "ntlm"
DIGEST = "digest"
BASIC = "basic"
SCHEMES = (NEGOTIATE, NTLM, DIGEST, BASIC)

DIGEST_REALM = "digest.test"
BASIC_REALM = "basic.test"

# An authenticated user gets 407 for the first two, 403 for the third.
DENIED_HOSTS = ("denied.test", "denied2.test")
FORBIDDEN_HOST = "denied403.test"

_FLUSH_PORT = "flush"


@dataclass(frozen=True)
class Port:
    """A port to open: its name, the schemes it offers (none: no login), and TLS."""

    name: str
    schemes: tuple[str, ...]
    tls: bool = False


@dataclass(frozen=True)
class SquidSettings:
    """The settings in which the Squids differ."""

    programs: Mapping[str, str]  # the login helper of each scheme
    options: Sequence[str] = ()  # more lines for the configuration
    keep_alive: bool = True  # false: the first 407 closes the connection


@dataclass(frozen=True)
class SquidPlace:
    """The settings that all Squids share."""

    hosts_file: Path
    certificates: Certificates


# client_request_buffer_max_size: with the default of 512 KB Squid 5.7 now and then resets a TLS connection in
# the middle of a long upload, from any client (also from curl).
_COMMON = """\
visible_hostname proxy.test
pid_filename {directory}/squid.pid
coredump_dir {directory}
cache_log {directory}/cache.log
logformat requests {log_format}
access_log stdio:{directory}/access.log logformat=requests
buffered_logs off
cache deny all
cache_mem 8 MB
client_request_buffer_max_size 16 MB
shutdown_lifetime 0 seconds
pinger_enable off
netdb_filename none
max_filedescriptors 8192
hosts_file {hosts_file}
dns_nameservers 127.0.0.1
dns_timeout 1 second
dns_retransmit_interval 500 milliseconds
udp_outgoing_address 127.0.0.1
http_port 127.0.0.1:{flush_port} name={flush}
acl flush_port myportname {flush}
"""

# The login rules. A rule whose last ACL is about the login answers 407. A scheme
# that a port does not offer is not tried there: "auth_schemes" alone only decides
# what is offered.
_ACCESS = """\
acl denied_hosts dstdomain {denied}
acl forbidden_host dstdomain {forbidden}
acl open_ports myportname {open}
acl logged_in proxy_auth REQUIRED
http_access deny flush_port
{not_offered}
http_access allow open_ports
http_access deny denied_hosts logged_in
http_access allow logged_in !forbidden_host
http_access deny all
"""

_HELPERS = {
    NEGOTIATE: "40 startup=2 idle=1",
    NTLM: "40 startup=2 idle=2",
    DIGEST: "5 startup=1 idle=1",
    BASIC: "10 startup=1 idle=1",
}
_REALMS = {DIGEST: DIGEST_REALM, BASIC: BASIC_REALM}


def squid_config(
    directory: Path,
    place: SquidPlace,
    settings: SquidSettings,
    ports: Mapping[Port, int],
    flush_port: int,
) -> str:
    """Return the text of a squid.conf."""
    lines = [
        _COMMON.format(
            directory=directory,
            hosts_file=place.hosts_file,
            log_format=LOG_FORMAT,
            flush=_FLUSH_PORT,
            flush_port=flush_port,
        ),
        *(_port(port, number, place.certificates) for port, number in ports.items()),
        *(_login(scheme, program, settings) for scheme, program in settings.programs.items()),
        *settings.options,
        *(_scheme_acls(scheme) for scheme in SCHEMES),
        *(_offer(port) for port in ports if port.schemes),
        _access(list(ports)),
    ]
    return "\n".join(lines)


def _port(port: Port, number: int, certificates: Certificates) -> str:
    if not port.tls:
        return f"http_port {LOOPBACK}:{number} name={port.name}"
    return (
        f"https_port {LOOPBACK}:{number} name={port.name}"
        f" tls-cert={certificates.server_file} tls-key={certificates.server_key}"
    )


def _login(scheme: str, program: str, settings: SquidSettings) -> str:
    lines = [
        f"auth_param {scheme} program {program}",
        f"auth_param {scheme} children {_HELPERS[scheme]}",
    ]
    if scheme in (NEGOTIATE, NTLM):
        lines.append(f"auth_param {scheme} keep_alive {'on' if settings.keep_alive else 'off'}")
    else:
        lines.append(f"auth_param {scheme} realm {_REALMS[scheme]}")
    return "\n".join(lines)


def _scheme_acls(scheme: str) -> str:
    return (
        f"acl sent_{scheme} req_header Proxy-Authorization -i ^{scheme}\n"
        f"note login_scheme {scheme} sent_{scheme}\n"
        f"deny_info 407:ERR_CACHE_ACCESS_DENIED sent_{scheme}"
    )


def _offer(port: Port) -> str:
    acl = f"on_{port.name}"
    schemes = ",".join(port.schemes)
    return f"acl {acl} myportname {port.name}\nauth_schemes {schemes} {acl}"


def _access(ports: Sequence[Port]) -> str:
    not_offered = [
        f"http_access deny on_{port.name} sent_{scheme}"
        for port in ports
        if port.schemes
        for scheme in SCHEMES
        if scheme not in port.schemes
    ]
    open_ports = [port.name for port in ports if not port.schemes]
    return _ACCESS.format(
        denied=" ".join(DENIED_HOSTS),
        forbidden=FORBIDDEN_HOST,
        open=" ".join(open_ports) or "none",
        not_offered="\n".join(not_offered),
    )

"""A throw-away certificate authority and one server certificate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .processes import Processes, give_to_server_user

_CONFIGURATION = """\
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass(frozen=True)
class Certificates:
    """The files with the certificates and the server's key."""

    ca_file: Path
    server_file: Path
    server_key: Path


def create_certificates(processes: Processes, host_names: tuple[str, ...]) -> Certificates:
    """Create an authority and a certificate for these names and the loopback addresses."""
    directory = processes.directory / "tls"
    directory.mkdir()
    names = [f"DNS:{name}" for name in ("localhost", *host_names)]
    configuration = directory / "openssl.cnf"
    configuration.write_text(_CONFIGURATION.format(names=", ".join([*names, "IP:127.0.0.1", "IP:::1"])))
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority_key = directory / "ca.key"
    request = ["openssl", "req", "-x509", "-config", str(configuration), "-days", "7", "-nodes"]
    request += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    processes.run(
        "openssl-authority",
        [
            *(*request, "-subj", "/CN=Corporate test authority", "-extensions", "authority"),
            *("-keyout", str(authority_key), "-out", str(made.ca_file)),
        ],
    )
    processes.run(
        "openssl-server",
        [
            *(*request, "-subj", "/CN=proxy.test", "-extensions", "server"),
            *("-CA", str(made.ca_file), "-CAkey", str(authority_key)),
            *("-keyout", str(made.server_key), "-out", str(made.server_file)),
        ],
    )
    made.ca_file.chmod(0o644)
    give_to_server_user(made.server_file, made.server_key)
    return made

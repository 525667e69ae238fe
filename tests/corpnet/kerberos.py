"""The common parts of both Kerberos realms: client configuration and tickets."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .processes import NetworkError
from .system_programs import SYSTEM_PATH

PROXY_NAMES = ("proxy.test", "localhost")

_KRB5_CONF = """\
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  proxy.test = {realm}
  localhost = {realm}
"""


@dataclass(frozen=True)
class User:
    """A user who can log in."""

    name: str
    password: str


@dataclass(frozen=True)
class Realm:
    """A Kerberos realm, as its clients see it."""

    name: str
    krb5_config: Path

    @property
    def env(self) -> dict[str, str]:
        """Return the environment that points Kerberos programs at this realm."""
        return {"KRB5_CONFIG": str(self.krb5_config)}

    def write_config(self, kdc_port: int) -> None:
        """Write the configuration for the clients of the KDC at this port."""
        self.krb5_config.write_text(_KRB5_CONF.format(realm=self.name, port=kdc_port))

    def kinit(self, user: User, ccache: Path, life: str = "10h") -> dict[str, str]:
        """Store a ticket in this file; return the environment in which programs use the ticket."""
        env = {**self.env, "KRB5CCNAME": f"FILE:{ccache}"}
        done = subprocess.run(
            ["kinit", "-l", life, f"{user.name}@{self.name}"],
            env={**os.environ, "PATH": SYSTEM_PATH, **env},
            input=user.password + "\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise NetworkError(f"kinit {user.name}@{self.name}: {done.stderr}")
        return env

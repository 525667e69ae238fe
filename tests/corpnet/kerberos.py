"""What both Kerberos realms have in common: client configuration and tickets."""

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
    """Someone who can log in."""

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

    def kinit(self, user: User, ccache: Path) -> dict[str, str]:
        """Get a ticket into this file; return the environment that makes use of it."""
        env = {**self.env, "KRB5CCNAME": f"FILE:{ccache}"}
        done = subprocess.run(
            ["kinit", f"{user.name}@{self.name}"],
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

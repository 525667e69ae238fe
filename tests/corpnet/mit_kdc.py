"""An MIT Kerberos realm."""

from __future__ import annotations

import re
import secrets

from .kerberos import PROXY_NAMES, Realm, User
from .ports import accepts_connections, reserved_ports
from .processes import Processes, give_to_server_user

_REALM = "MIT.TEST"
BRIEF_SECONDS = 9

_KDC_CONF = """\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = {directory}/principal
    key_stash_file = {directory}/stash
    acl_file = {directory}/kadm5.acl
    max_life = 10h
  }}
[logging]
  kdc = FILE:{directory}/kdc.log
"""


class MitKdc:
    """The KDC of MIT.TEST, with its users and a keytab for the proxy."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._directory = processes.directory / "mit"
        self.alice, self.bob = (User(name, f"Mit-{secrets.token_hex(8)}") for name in ("alice", "bob"))
        #: A user whose tickets are valid for only `BRIEF_SECONDS`.
        self.brief = User("brief", f"Mit-{secrets.token_hex(8)}")
        self.users = (self.alice, self.bob, self.brief)
        #: Users to whom the KDC gives no ticket: their passwords have expired, or they are locked.
        names = ("expired", "locked")
        self.expired, self.locked = (User(name, f"Mit-{secrets.token_hex(8)}") for name in names)
        self.keytab = self._directory / "http.keytab"
        self.realm = Realm(_REALM, self._directory / "krb5.conf")
        self.port = 0

    def start(self) -> None:
        """Create the realm and start its KDC."""
        self._directory.mkdir()
        self._directory.chmod(0o711)
        with reserved_ports(1) as (port,):
            self.port = port
            self._configure(port)
            env = {**self.realm.env, "KRB5_KDC_PROFILE": str(self._directory / "kdc.conf")}
            self._create_database(env)
            kdc = self._processes.spawn("krb5kdc", ["krb5kdc", "-n", "-r", _REALM], env=env)
            self._processes.wait_until(kdc, lambda: accepts_connections(port))

    def tickets_issued(self, user: User, service: str) -> int:
        """Return the number of a user's tickets for a service (``krbtgt``: initial tickets) so far."""
        log = (self._directory / "kdc.log").read_text("utf-8")
        return len(re.findall(rf" ISSUE: .* {user.name}@{_REALM} for {service}/", log))

    def _configure(self, port: int) -> None:
        self.realm.write_config(port)
        (self._directory / "kdc.conf").write_text(
            _KDC_CONF.format(port=port, realm=_REALM, directory=self._directory)
        )

    def _create_database(self, env: dict[str, str]) -> None:
        master_password = secrets.token_hex(16)
        self._processes.run(
            "kdb5_util",
            ["kdb5_util", "create", "-s", "-r", _REALM],
            env=env,
            stdin=f"{master_password}\n{master_password}\n",
        )
        services = [f"HTTP/{name}" for name in PROXY_NAMES]
        commands = [
            *(f"addprinc -pw {user.password} {user.name}" for user in self.users),
            f"addprinc -pw {self.expired.password} -pwexpire yesterday {self.expired.name}",
            f"addprinc -pw {self.locked.password} -allow_tix {self.locked.name}",
            f'modprinc -maxlife "{BRIEF_SECONDS} seconds" {self.brief.name}',
            *(f"addprinc -randkey {service}" for service in services),
            f"ktadd -k {self.keytab} {' '.join(services)}",
        ]
        script = "\n".join(commands) + "\n"
        self._processes.run("kadmin", ["kadmin.local", "-r", _REALM], env=env, stdin=script)
        give_to_server_user(self.keytab)

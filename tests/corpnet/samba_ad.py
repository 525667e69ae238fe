"""An Active Directory domain: a Samba domain controller with winbindd."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from .kerberos import PROXY_NAMES, Realm, User
from .ports import accepts_connections, reserved_ports
from .processes import NetworkError, Processes, give_to_server_user, server_user
from .system_programs import SYSTEM_PATH

DOMAIN = "ADTEST"
LOCKOUT_THRESHOLD = 20
SYSTEM_PYTHON = "/usr/bin/python3"  # the Python that has Samba's modules

_REALM = "AD.TEST"
_BASE_DN = "DC=ad,DC=test"
_WITHOUT_SYNC = {"TDB_NO_FSYNC": "1"}

# The prefix length keeps Samba from ignoring the loopback interface.
_SMB_CONF = """\
[global]
  workgroup = {domain}
  realm = {realm}
  netbios name = DC1
  server role = active directory domain controller
  interfaces = 127.0.0.1/8
  bind interfaces only = yes
  private dir = {directory}/private
  state directory = {directory}/state
  cache directory = {directory}/cache
  lock directory = {directory}
  pid directory = {directory}/run
  ncalrpc dir = {directory}/ncalrpc
  winbindd socket directory = {directory}/winbindd
  ntp signd socket directory = {directory}/ntp
  binddns dir = {directory}/bind-dns
  server services = rpc kdc winbindd
  dcerpc endpoint servers = samr netlogon lsarpc
  krb5 port = {kdc_port}
  kpasswd port = {kpasswd_port}
  ntlm auth = ntlmv2-only
  old password allowed period = 0
  load printers = no
  disable spoolss = yes
  log level = 0 auth_audit:3
  logging = file
  log file = {directory}/log.%m
"""

_NTLM_AUTH_CONF = """\
[global]
  workgroup = {domain}
  realm = {realm}
  netbios name = DC1
  private dir = {directory}/private
  state directory = {directory}
  cache directory = {directory}
  lock directory = {directory}
  pid directory = {directory}
  kerberos method = dedicated keytab
  dedicated keytab file = {keytab}
  logging = file
  log file = {directory}/log
"""


class SambaAd:
    """The domain ADTEST (AD.TEST), and methods that read its records of logins."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._directory = processes.directory / "samba"
        self._helper_directory = self._directory / "ntlm_auth"
        self._keytab = self._directory / "http.keytab"
        self.realm = Realm(_REALM, self._directory / "krb5.conf")
        self.alice, self.bob, self.carol = (
            User(name, f"Ad-{secrets.token_hex(8)}") for name in ("alice", "bob", "carol")
        )
        self.juergen = User("jürgen", "Pässwörd1€")
        self.users = (self.alice, self.bob, self.carol, self.juergen)

    def start(self) -> None:
        """Create the domain and start its controller."""
        for name in ("", "run", "ncalrpc", "winbindd", "cache", "ntp", "ntlm_auth/private"):
            (self._directory / name).mkdir(parents=True)
        self._directory.chmod(0o711)
        with reserved_ports(2) as (kdc_port, kpasswd_port):
            self._configure(kdc_port, kpasswd_port)
            self._provision()
            samba = self._processes.spawn(
                "samba",
                ["samba", "-i", "-M", "single", f"--configfile={self._directory}/smb.conf"],
                env=_WITHOUT_SYNC,
            )
            self._processes.wait_until(samba, lambda: self._is_ready(kdc_port))
        self._open_to_server_user()

    def ntlm_auth(self, protocol: str) -> str:
        """Return the command line of a login helper for Squid."""
        settings = " ".join(f"{name}={value}" for name, value in self._winbind_env().items())
        configuration = f"--configfile={self._directory}/ntlm_auth.conf"
        return f"/usr/bin/env {settings} ntlm_auth {configuration} --helper-protocol={protocol}"

    def bad_password_count(self, user: User) -> int:
        """Return how many wrong passwords in a row the domain has counted for a user."""
        # Reading the file of the domain is twice as fast as a query through sam.ldb.
        domain = f"{self._directory}/private/sam.ldb.d/{_BASE_DN.upper()}.ldb"
        found = self._ldb("ldbsearch", domain, f"(sAMAccountName={user.name})", "badPwdCount")
        count = re.search(r"^badPwdCount: (\d+)$", found, re.MULTILINE)
        if count is None:
            raise NetworkError(f"no badPwdCount of {user.name} in: {found}")
        return int(count[1])

    def workstations_of(self, user: User) -> list[str]:
        """Return the computers of a user's NTLM logins, as the clients name them, in order."""
        log = (self._directory / f"log.wb-{DOMAIN}").read_text("utf-8")
        login = rf"Auth: \[winbind,NTLM_AUTH, .* user \[{DOMAIN}\]\\\[{user.name}\] .* workstation \[(.*?)\]"
        return re.findall(login, log)

    def reset_bad_password_count(self, user: User) -> None:
        """Set the count back to zero, and unlock the user."""
        dn = base64.b64encode(f"CN={user.name},CN=Users,{_BASE_DN}".encode()).decode()
        change = f"dn:: {dn}\nchangetype: modify\nreplace: lockoutTime\nlockoutTime: 0\n"
        self._ldb("ldbmodify", f"{self._directory}/private/sam.ldb", stdin=change)

    def set_password(self, user: User, password: str) -> None:
        """Set another password, so that the domain counts each use of the previous one as wrong.

        A domain does not count the last two passwords, so this sets two others in between.
        """
        dn = base64.b64encode(f"CN={user.name},CN=Users,{_BASE_DN}".encode()).decode()
        changes = []
        for each in (f"{password}-1", f"{password}-2", password):
            value = base64.b64encode(f'"{each}"'.encode("utf-16-le")).decode()
            changes.append(f"dn:: {dn}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {value}\n")
        self._ldb("ldbmodify", f"{self._directory}/private/sam.ldb", stdin="\n".join(changes))

    def _configure(self, kdc_port: int, kpasswd_port: int) -> None:
        places = {"domain": DOMAIN, "realm": _REALM}
        (self._directory / "empty.conf").touch()
        (self._directory / "smb.conf").write_text(
            _SMB_CONF.format(
                **places, directory=self._directory, kdc_port=kdc_port, kpasswd_port=kpasswd_port
            )
        )
        (self._directory / "ntlm_auth.conf").write_text(
            _NTLM_AUTH_CONF.format(**places, directory=self._helper_directory, keytab=self._keytab)
        )
        self.realm.write_config(kdc_port)
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", self._directory)

    def _provision(self) -> None:
        instructions = {
            "realm": _REALM,
            "domain": DOMAIN,
            "directory": str(self._directory),
            "config": f"{self._directory}/smb.conf",
            "empty_config": f"{self._directory}/empty.conf",
            "administrator_password": f"Admin-{secrets.token_hex(8)}",
            "users": {user.name: user.password for user in self.users},
            "services": [f"HTTP/{name}" for name in PROXY_NAMES],
            "keytab": str(self._keytab),
            "lockout_threshold": LOCKOUT_THRESHOLD,
        }
        script = Path(__file__).with_name("samba_setup.py")
        self._processes.run(
            "samba-setup",
            [SYSTEM_PYTHON, str(script)],
            env=_WITHOUT_SYNC,
            stdin=json.dumps(instructions),
        )

    def _is_ready(self, kdc_port: int) -> bool:
        pipe = self._directory / "winbindd" / "pipe"
        privileged = self._directory / "state" / "winbindd_privileged" / "pipe"
        if not (pipe.exists() and privileged.exists() and accepts_connections(kdc_port)):
            return False
        trusted = _run(["wbinfo", "--check-secret"], self._winbind_env())
        return trusted.returncode == 0

    def _winbind_env(self) -> dict[str, str]:
        """Return the environment for clients of winbindd.

        The path of winbindd's socket is compiled into its client library. It can be
        moved only while these two wrapper libraries are active.
        """
        return {
            "LD_PRELOAD": "libnss_wrapper.so:libuid_wrapper.so",
            "UID_WRAPPER": "1",
            "NSS_WRAPPER_PASSWD": f"{self._directory}/passwd",
            "NSS_WRAPPER_GROUP": f"{self._directory}/group",
            "SELFTEST_WINBINDD_SOCKET_DIR": f"{self._directory}/winbindd",
            **self.realm.env,
        }

    def _open_to_server_user(self) -> None:
        """Let the Squids' helpers, which do not run as root, reach winbindd and the keytab."""
        give_to_server_user(self._keytab, self._helper_directory, self._helper_directory / "private")
        account = server_user()
        if account is not None:
            # winbindd requires the mode of this directory, but accepts any group.
            os.chown(self._directory / "state" / "winbindd_privileged", -1, account.pw_gid)

    def _ldb(self, command: str, database: str, *arguments: str, stdin: str = "") -> str:
        done = _run([command, "-H", database, *arguments], _WITHOUT_SYNC, stdin)
        if done.returncode != 0:
            raise NetworkError(f"{command} {arguments}: {done.stderr}")
        return done.stdout


def _run(argv: list[str], env: dict[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", **env},
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )

"""Creates the domain. Run by the system's Python, which has Samba's modules.

Reads its instructions as JSON from standard input. Everything happens in one
process, because importing Samba's modules takes longer than most of the work.
This file is run by its path and imports nothing else of this package.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import samba.provision  # type: ignore[import-untyped,import-not-found,unused-ignore]
from samba.auth import system_session  # type: ignore[import-untyped,import-not-found,unused-ignore]
from samba.net import Net  # type: ignore[import-untyped,import-not-found,unused-ignore]
from samba.netcmd.main import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
    cmd_sambatool,
)
from samba.param import LoadParm  # type: ignore[import-untyped,import-not-found,unused-ignore]
from samba.samdb import SamDB  # type: ignore[import-untyped,import-not-found,unused-ignore]

_SERVICE_ACCOUNT = "squidsvc"

# Without a threshold badPwdCount never rises. Without the encryption types (AES
# only) the keytab would hold nothing but RC4 keys.
_POLICY = """\
dn: {domain_dn}
changetype: modify
replace: lockoutThreshold
lockoutThreshold: {threshold}
"""
_SERVICE = """\
dn: {service_dn}
changetype: modify
replace: msDS-SupportedEncryptionTypes
msDS-SupportedEncryptionTypes: 24
-
replace: servicePrincipalName
{names}
"""


def _provision(instructions: dict[str, Any]) -> None:
    # Setting the access rights of the SYSVOL share needs root, and nobody uses the share.
    samba.provision.setsysvolacl = lambda *_args, **_kwargs: None
    failed = cmd_sambatool()._run(
        "samba-tool",
        "domain",
        "provision",
        "--configfile=" + instructions["empty_config"],
        "--realm=" + instructions["realm"],
        "--domain=" + instructions["domain"],
        "--server-role=dc",
        "--dns-backend=NONE",
        "--adminpass=" + instructions["administrator_password"],
        "--targetdir=" + instructions["directory"],
        "--host-name=dc1",
        "--host-ip=127.0.0.1",
    )
    if failed:
        sys.exit("the provision failed")


def _fill(instructions: dict[str, Any]) -> None:
    settings = LoadParm(instructions["config"])
    database = SamDB(url=settings.samdb_url(), session_info=system_session(), lp=settings)
    for name, password in instructions["users"].items():
        database.newuser(name, password)
    database.newuser(_SERVICE_ACCOUNT, instructions["administrator_password"])
    domain_dn = database.domain_dn()
    names = "\n".join(f"servicePrincipalName: {name}" for name in instructions["services"])
    service_dn = f"CN={_SERVICE_ACCOUNT},CN=Users,{domain_dn}"
    database.modify_ldif(_POLICY.format(domain_dn=domain_dn, threshold=instructions["lockout_threshold"]))
    database.modify_ldif(_SERVICE.format(service_dn=service_dn, names=names))
    # New keys for the new encryption types.
    database.setpassword(f"(samAccountName={_SERVICE_ACCOUNT})", instructions["administrator_password"])
    exporter = Net(None, settings)
    for name in instructions["services"]:
        exporter.export_keytab(keytab=instructions["keytab"], principal=name)


def main() -> None:
    """Create the domain, its users and the keytab of the proxy."""
    instructions = json.load(sys.stdin)
    _provision(instructions)
    _fill(instructions)


if __name__ == "__main__":
    main()

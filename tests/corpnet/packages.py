"""The programs and files that must be installed for the network."""

from __future__ import annotations

import ctypes.util
import shutil
from pathlib import Path

from .samba_ad import SYSTEM_PYTHON
from .squid import HELPERS
from .system_programs import SYSTEM_PATH

_COMMANDS = (
    "curl",
    "kadmin.local",
    "kdb5_util",
    "kinit",
    "krb5kdc",
    "ldbmodify",
    "ldbsearch",
    "ntlm_auth",
    "openssl",
    "samba",
    "squid",
    "wbinfo",
    "winbindd",
)
_FILES = (
    SYSTEM_PYTHON,
    f"{HELPERS}/basic_ncsa_auth",
    f"{HELPERS}/digest_file_auth",
    f"{HELPERS}/negotiate_kerberos_auth",
    "/usr/lib/python3/dist-packages/samba/provision",
    "/usr/lib/*/samba/ldb/samldb.so",
    "/usr/share/samba/setup/provision.ldif",
)
_LIBRARIES = ("nss_wrapper", "uid_wrapper")


def missing_packages() -> list[str]:
    """Return the missing commands, files and libraries."""
    return [
        *(command for command in _COMMANDS if shutil.which(command, path=SYSTEM_PATH) is None),
        *(file for file in _FILES if not any(Path("/").glob(file.lstrip("/")))),
        *(f"lib{name}.so" for name in _LIBRARIES if ctypes.util.find_library(name) is None),
    ]

"""A stand-in for the module sspilib, which exists on Windows only: it returns what it was asked for."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any


class FakeSspilib(ModuleType):
    """Returns each argument as it came; the test brings the class of the context.

    Args:
        contexts: ``ClientSecurityContext`` or ``ServerSecurityContext``.
    """

    def __init__(self, **contexts: Any) -> None:
        super().__init__("sspilib")
        self.__dict__.update(contexts)
        self.SecChannelBindings = dict
        self.raw = SimpleNamespace(
            CredentialUse=SimpleNamespace(SECPKG_CRED_OUTBOUND="outbound", SECPKG_CRED_INBOUND="inbound"),
            WinNTAuthIdentity=dict,
            SecPkgContextNames="names",
            acquire_credentials_handle=_acquire,
            query_context_attributes=_query,
        )


def _acquire(principal: None, package: str, use: str, *, auth_data: Any) -> SimpleNamespace:
    assert principal is None
    return SimpleNamespace(credential={"package": package, "use": use, "identity": auth_data})


def _query(context: Any, attribute: str) -> Any:
    assert attribute == "names"
    return context

"""The one user that the benches' upstream knows, and what it needs to check an NTLMv2 proof cheaply."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.messages import format_challenge
from px.core.auth.ntlm.proof import response_key

#: 1601-01-01 to 1970-01-01 in units of 100 ns (MS-DTYP 2.3.3).
_FILETIME_OF_EPOCH = 116_444_736_000_000_000


@dataclass(frozen=True)
class NtlmUser:
    """A user of a domain."""

    name: str
    domain: str
    password: str = field(repr=False)

    @cached_property
    def key(self) -> bytes:
        """NTOWFv2 (MS-NLMP 3.3.2): with it a proof costs two hashes to check."""
        return response_key(nt_hash(self.password), self.name, self.domain)

    @cached_property
    def challenge(self) -> bytes:
        """A CHALLENGE message as a domain sends it, with a time stamp, which obliges clients to a MIC."""
        now = time.time_ns() // 100 + _FILETIME_OF_EPOCH
        return format_challenge(bytes(8), self.domain, now)


USER = NtlmUser("bencher", "BENCH", "Kno7-a-real-secret")

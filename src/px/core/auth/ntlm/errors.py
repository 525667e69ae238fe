"""The failures of an NTLM login."""

from __future__ import annotations


class NtlmError(Exception):
    """An NTLM login failed; the text says why, for the log, and contains no secret."""


class NtlmMalformedError(NtlmError):
    """A message breaks the layout of MS-NLMP 2.2.1."""


class NtlmRefusedError(NtlmError):
    """A well-formed message that does not log in: wrong secret, NTLMv1, no name, wrong MIC or binding."""

"""The hashes of cntlm: which of them Px can use.

PassNT is the NT hash, which Px uses too. PassNTLMv2 is NTOWFv2 (MS-NLMP 3.3.2), made of the NT hash, the user
and the domain; the NT hash cannot be found from it. PassLM is no use for NTLMv2.

Until February 2024 (https://github.com/versat/cntlm/pull/94) cntlm wrote and read each hash with all its bits
inverted. No line of the file tells the version. A wrong hash is a failed login, which counts against the
account, so Px takes PassNT only if another hash confirms the spelling: PassNTLMv2, or PassLM of a password
with seven characters at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from px.config.imports.draft import Entry, ImportDraft
from px.core.auth.ntlm.proof import response_key

_HASH: Final = re.compile(r"[0-9A-Fa-f]{32}")
#: The second half of the LM hash of a password that has no second half (MS-NLMP 3.3.1, LMOWFv1).
_EMPTY_HALF: Final = bytes.fromhex("AAD3B435B51404EE")
#: How a hash may be spelled.
_Spelling = Callable[[bytes], bytes]


def _plain(data: bytes) -> bytes:
    return data


def _inverted(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


_SPELLINGS: Final[tuple[_Spelling, ...]] = (_inverted, _plain)


def take_hash(draft: ImportDraft, entry: Entry) -> None:
    """Be the rule for PassNT."""
    nt_hash = _read_hash(draft, entry)
    if draft.first("password"):
        draft.skip(entry, "cntlm uses Password instead, so the hash may be of an old one")
        return
    if not draft.first("username"):
        draft.drop(entry, "there is no Username to go with it", "run px --password --username=USER")
        return
    spelling = _find_spelling(draft, nt_hash)
    if spelling is not None:
        draft.take("nthash", entry, spelling(nt_hash).hex())
    elif draft.first("passntlmv2"):
        _drop_hash(draft, entry, "it is not of the same password, Username and Domain as PassNTLMv2")
    else:
        _drop_hash(
            draft,
            entry,
            "older versions of cntlm invert it, and nothing in the file shows whether it is inverted",
        )


def drop_other_hash(draft: ImportDraft, entry: Entry) -> None:
    """Be the rule for PassNTLMv2 and PassLM: they serve to confirm PassNT."""
    _read_hash(draft, entry)
    if not draft.first("passnt", "password"):
        _drop_hash(draft, entry, "Px needs the NT hash, which cannot be found from this one")


def _drop_hash(draft: ImportDraft, entry: Entry, reason: str) -> None:
    draft.needs_password("")
    draft.drop(entry, reason, "store the password: px --password; or run px --hash and set PX_NTHASH")


def _read_hash(draft: ImportDraft, entry: Entry) -> bytes:
    if not _HASH.fullmatch(entry.text):
        raise draft.refuse(entry, "not 32 hexadecimal digits")
    return bytes.fromhex(entry.text)


def _find_spelling(draft: ImportDraft, nt_hash: bytes) -> _Spelling | None:
    """Return the spelling that another hash confirms."""
    key, lm_hash = draft.first("passntlmv2"), draft.first("passlm")
    if key:
        wanted, user, domain = _read_hash(draft, key), draft.text_of("username"), draft.text_of("domain")
        made = {each: each(response_key(each(nt_hash), user, domain.upper())) for each in _SPELLINGS}
        return next((each for each in _SPELLINGS if made[each] == wanted), None)
    half = _read_hash(draft, lm_hash)[8:] if lm_hash else b""
    return next((each for each in _SPELLINGS if half == each(_EMPTY_HALF)), None)

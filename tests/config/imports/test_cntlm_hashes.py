"""The hashes of cntlm: Px takes one only if another hash confirms how it is spelled."""

from __future__ import annotations

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.proof import response_key

from .conversion import Converter

#: What the real cntlm 0.92.3 prints for the password "password", user alice, domain corp.
LM, NT, KEY = (
    "1AD35398BE6565DDB5C4EF70C0593492",
    "77B9081511704EE852F94227CF48A793",
    "BE4BFD6B751DDF771BAE9CADDD951574",
)
#: The same as it prints for "pw", of which the LM hash has an empty second half.
SHORT_LM, SHORT_NT = "D680F44A6DB0356E552C4BCA4AEBFB11", "733E6495730153D663D78E3794C721D7"


def invert(text: str) -> str:
    return bytes(byte ^ 0xFF for byte in bytes.fromhex(text)).hex()


#: As newer versions print them.
TRUE_NT, TRUE_KEY = nt_hash("password").hex(), response_key(nt_hash("password"), "alice", "CORP").hex()
TRUE_SHORT_NT, TRUE_SHORT_LM = invert(SHORT_NT), invert(SHORT_LM)


def conf(**lines: str) -> str:
    given = {"Username": "alice", "Domain": "corp", "Proxy": "proxy.corp.example:8080", **lines}
    return "".join(f"{key} {value}\n" for key, value in given.items())


@pytest.mark.parametrize(
    ("lines", "password"),
    [
        ({"PassNT": NT, "PassNTLMv2": KEY}, "password"),
        ({"PassNT": TRUE_NT, "PassNTLMv2": TRUE_KEY}, "password"),
        ({"PassNT": NT, "PassNTLMv2": KEY, "PassLM": LM}, "password"),
    ],
)
def test_the_key_of_ntlmv2_confirms_both_spellings(converter: Converter, lines, password):
    done = converter.convert(conf(**lines))
    assert done.settings.nthash
    assert done.settings.nthash.reveal() == nt_hash(password).hex()
    assert (done.lost, done.found.password_users) == ("", [])


@pytest.mark.parametrize(("nt", "lm"), [(SHORT_NT, SHORT_LM), (TRUE_SHORT_NT, TRUE_SHORT_LM)])
def test_the_lm_hash_of_a_short_password_confirms_both_spellings(converter: Converter, nt, lm):
    done = converter.convert(conf(PassNT=nt, PassLM=lm))
    assert done.settings.nthash
    assert (done.settings.nthash.reveal(), done.lost) == (TRUE_SHORT_NT, "")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ({"PassNT": NT}, "nothing in the file shows whether it is inverted"),
        ({"PassNT": NT, "PassLM": LM}, "nothing in the file shows whether it is inverted"),
        ({"PassNT": NT, "PassNTLMv2": TRUE_KEY}, "not of the same password"),
        ({"PassNT": NT, "PassNTLMv2": KEY, "Domain": "other"}, "not of the same password"),
        ({"PassNTLMv2": KEY}, "Px needs the NT hash, which cannot be found from this one"),
        ({"PassLM": LM, "Auth": "LM"}, "Px needs the NT hash"),
    ],
)
def test_a_hash_that_may_be_wrong_is_not_sent(converter: Converter, lines, reason):
    done = converter.convert(conf(**lines))
    assert done.settings.nthash is None
    assert reason in done.lost
    assert "px --password" in done.lost
    assert done.found.password_users == [""]
    assert not any(value in done.lost + done.ini for key, value in lines.items() if key.startswith("Pass"))

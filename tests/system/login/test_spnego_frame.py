"""The SPNEGO frame, read by pyspnego."""

from __future__ import annotations

import pytest
from spnego._spnego import NegTokenInit, unpack_token

from px.system.login.spnego_frame import frame_kerberos


@pytest.mark.parametrize("length", [0, 1, 80, 127, 128, 255, 256, 2000, 65_535, 70_000])
def test_a_token_of_any_length_reads_back_as_an_offer_of_kerberos_alone(length):
    token = bytes(length)
    found = unpack_token(frame_kerberos(token))
    assert isinstance(found, NegTokenInit)
    assert found.mech_types == ["1.2.840.113554.1.2.2"]
    assert (found.mech_token or b"") == token

from __future__ import annotations

import pytest

from px.core.auth.connection_login import carries_connection_login, offers_connection_login
from px.core.http.request_head import parse_request
from px.core.http.response_head import parse_response


@pytest.mark.parametrize(
    ("fields", "offers"),
    [
        (b"WWW-Authenticate: NTLM\r\n", True),
        (b"WWW-Authenticate: Negotiate oRQwEqADCgEB\r\n", True),
        (b'WWW-Authenticate: Basic realm="x", NTLM\r\n', True),
        (b'WWW-Authenticate: Basic realm="x"\r\nWWW-Authenticate: negotiate\r\n', True),
        (b'WWW-Authenticate: Basic realm="NTLM"\r\n', False),
        (b"WWW-Authenticate: NTLMv9\r\n", False),
        (b"Proxy-Authenticate: NTLM\r\n", False),
        (b"", False),
    ],
)
def test_an_answer_that_asks_for_a_login_of_the_connection_is_known(fields, offers):
    head = parse_response(b"HTTP/1.1 401 No\r\n%b\r\n" % fields, b"GET")
    assert offers_connection_login(head) == offers


@pytest.mark.parametrize(
    ("fields", "carries"),
    [
        (b"Authorization: NTLM TlRMTVNTUAAB\r\n", True),
        (b"Authorization: negotiate YII=\r\n", True),
        (b"Authorization: Basic TlRMTQ==\r\n", False),
        (b"", False),
    ],
)
def test_a_request_that_logs_its_connection_in_is_known(fields, carries):
    head = parse_request(b"GET http://o/ HTTP/1.1\r\nHost: o\r\n%b\r\n" % fields)
    assert carries_connection_login(head) == carries

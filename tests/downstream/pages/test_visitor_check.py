from __future__ import annotations

import socket

import pytest

from px.app.proxy_discovery import make_px_check
from px.core.errors import PxError
from px.core.http.request_head import parse_request
from px.downstream.page_answer import PageError, Visitor
from px.downstream.pages.visitor_check import check_asks_for_px, check_is_here

OWN_NAME = socket.gethostname().lower()
IS_PX = make_px_check([("127.0.0.1", 3128), ("::1", 3128), ("127.0.0.1", 1080)], lambda _: False)
IS_GATEWAY = make_px_check([("0.0.0.0", 3128), ("::", 3128)], lambda host: host == "192.0.2.7")


def ask(host: str, *fields: str, is_px=IS_PX) -> int:
    """Return 200, or the status of the refusal."""
    lines = "".join(f"{field}\r\n" for field in fields)
    try:
        head = parse_request(f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
        check_asks_for_px(head, Visitor("127.0.0.1", 3128), is_px)
    except PxError as error:
        return error.status
    return 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]", OWN_NAME])
def test_px_answers_to_its_own_names(host: str) -> None:
    assert ask(f"{host}:3128") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test:3128",
        "localhost.evil.test:3128",
        f"{OWN_NAME}.evil.test:3128",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:1080",
        "0.0.0.0:3128",
        "[::]:3128",
        "[::ffff:0.0.0.0]:3128",
        "192.0.2.7:3128",
    ],
)
def test_px_answers_to_no_other_name(host: str) -> None:
    assert ask(host) == 421


def test_a_px_on_all_interfaces_answers_to_the_addresses_of_its_computer() -> None:
    hosts = ("192.0.2.7:3128", "192.0.2.8:3128", "0.0.0.0:3128", "[::]:3128")
    assert [ask(host, is_px=IS_GATEWAY) for host in hosts] == [200, 421, 421, 421]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (("Sec-Fetch-Site: none",), 200),
        (("Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:3128"), 200),
        (("Sec-Fetch-Site: cross-site",), 403),
        (("Sec-Fetch-Site: same-site",), 403),
        (("Sec-Fetch-Site: new-value",), 403),
        (("Origin: http://evil.test",), 403),
        (("Origin: http://127.0.0.1:8000",), 403),
        (("Origin: null",), 403),
    ],
)
def test_other_web_sites_get_no_page(fields: tuple[str, ...], status: int) -> None:
    assert ask("127.0.0.1:3128", *fields) == status


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_visitor_at_a_loopback_address_is_here(host: str) -> None:
    check_is_here(Visitor(host, 3128))


@pytest.mark.parametrize("host", ["192.0.2.7", "fe80::1%3", ""])
def test_a_visitor_elsewhere_is_not_here(host: str) -> None:
    with pytest.raises(PageError) as raised:
        check_is_here(Visitor(host, 3128))
    assert raised.value.status == 403

from __future__ import annotations

import socket

import pytest

from px.app.proxy_discovery import make_px_check
from px.core.errors import PxError
from px.core.http.request_head import parse_request
from px.downstream.page_answer import PageError, Visitor
from px.downstream.pages.visitor_check import IsPx, check_asks_for_px, check_is_here, check_is_same_user

OWN_NAME = socket.gethostname().lower()
IS_PX = make_px_check([("127.0.0.1", 3128), ("::1", 3128), ("127.0.0.1", 1080)], lambda _: False)
IS_LAN = make_px_check([("192.0.2.7", 3128)], lambda _: False)
HERE = Visitor(("127.0.0.1", 50000), ("127.0.0.1", 3128), is_from_here=True)
IS_GATEWAY = make_px_check([("0.0.0.0", 3128), ("::", 3128)], lambda host: host == "192.0.2.7")


async def ask(host: str, *fields: str, is_px=IS_PX) -> int:
    """Return 200, or the status of the refusal."""
    lines = "".join(f"{field}\r\n" for field in fields)
    try:
        head = parse_request(f"GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode())
        await check_asks_for_px(head, HERE, is_px)
    except PxError as error:
        return error.status
    return 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]", OWN_NAME])
async def test_px_answers_to_its_own_names(host: str) -> None:
    assert await ask(f"{host}:3128") == 200


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
async def test_px_answers_to_no_other_name(host: str) -> None:
    assert await ask(host) == 421


async def test_a_px_on_all_interfaces_answers_to_the_addresses_of_its_computer() -> None:
    hosts = ("192.0.2.7:3128", "192.0.2.8:3128", "0.0.0.0:3128", "[::]:3128")
    assert [await ask(host, is_px=IS_GATEWAY) for host in hosts] == [200, 421, 421, 421]


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
        (("Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"), 403),
        (("Origin: http://127.0.0.1:3128", "Origin: http://evil.test"), 403),
    ],
)
async def test_other_web_sites_get_no_page(fields: tuple[str, ...], status: int) -> None:
    assert await ask("127.0.0.1:3128", *fields) == status


@pytest.mark.parametrize(
    ("listening", "visitor", "place"),
    [
        (IS_PX, Visitor(("127.9.9.9", 5), ("127.0.0.1", 3128), is_from_here=True), ""),
        (IS_GATEWAY, Visitor(("192.0.2.7", 5), ("192.0.2.7", 3128), is_from_here=True), ""),  # --hostonly
        (IS_GATEWAY, Visitor(("192.0.2.7", 5), ("192.0.2.7", 3128), is_from_here=False), "127.0.0.1:3128"),
        (IS_GATEWAY, Visitor(("192.0.2.8", 5), ("192.0.2.7", 3128), is_from_here=False), "127.0.0.1:3128"),
        (IS_LAN, Visitor(("192.0.2.7", 5), ("192.0.2.7", 3128), is_from_here=False), ""),
        (IS_LAN, Visitor(("192.0.2.8", 5), ("192.0.2.7", 3128), is_from_here=False), "192.0.2.7:3128"),
    ],
)
def test_a_visitor_that_is_not_here_is_told_the_place(listening: IsPx, visitor: Visitor, place: str) -> None:
    if not place:
        check_is_here(visitor, listening)
        return
    with pytest.raises(PageError) as raised:
        check_is_here(visitor, listening)
    assert (raised.value.status, raised.value.hint) == (403, f"There it is at http://{place}/.")


async def test_a_program_of_another_user_is_refused() -> None:
    await check_is_same_user(HERE, lambda *_: False)
    with pytest.raises(PageError) as raised:
        await check_is_same_user(HERE, lambda *ends: ends == (HERE.end, HERE.own_end))
    assert raised.value.status == 403


async def test_px_answers_to_the_full_name_of_its_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getfqdn", lambda: f"{OWN_NAME}.Corp.test")
    assert await ask(f"{OWN_NAME}.corp.test:3128") == 200
    assert await ask(f"{OWN_NAME}.evil.test:3128") == 421

"""A bench that cannot tell a wrong answer from a right one measures nothing."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import spnego

from bench.tools import Holder, MeasureError, run_check, run_load, upload
from bench.user import USER

SECONDS = 0.2


def payload(count: int) -> bytes:
    """The first bytes that an origin sends: the block of net.h."""
    words = (((number + 1) * 0x9E3779B97F4A7C15) % 2**64 for number in range(count // 8 + 1))
    return b"".join(struct.pack("<Q", word) for word in words)[:count]


@contextmanager
def origin_that_says(answer: bytes) -> Iterator[int]:
    """Give the port of an origin that answers each first request with these bytes and closes."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(10)
                    client.recv(65536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def answer(body: bytes, *, length: int = 100, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, length, body)


def test_every_right_answer_is_counted_once(origin):
    load = run_load("gets", 0, origin.port, 5, SECONDS)
    assert load.done > 5
    assert load.bytes == load.done * 100
    assert load.done + 5 <= origin.counters()["requests"] <= load.done + 10  # some were under way at the end


def test_tunnels_are_counted_as_the_proxy_counts_them(origin):
    load = run_load("tunnels", origin.port, origin.port, 5, SECONDS)
    counted = origin.counters()
    assert load.done <= counted["tunnels"] <= load.done + 5


@pytest.mark.parametrize("mode", ["bulk", "gets", "tunnels", "check"])
@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(payload(99)), id="a byte too few"),
        pytest.param(answer(payload(101)), id="a byte too many"),
        pytest.param(answer(payload(99), length=99), id="another length"),
        pytest.param(answer(payload(100), status=502), id="an error"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_wrong_answer_is_never_counted(mode, said):
    with origin_that_says(said) as port, pytest.raises(MeasureError):
        run_load(mode, 0, port, 1, SECONDS)


def test_one_wrong_byte_among_the_right_number_is_seen():
    right = payload(100)
    wrong = right[:57] + bytes([right[57] ^ 1]) + right[58:]
    with origin_that_says(answer(right)) as port:
        assert run_check(0, port, 1, 1, 100).done == 1
    with origin_that_says(answer(wrong)) as port:
        load = run_check(0, port, 1, 1, 100)
    assert (load.done, load.failed) == (0, 1)
    assert "other bytes" in load.failure


def test_many_bytes_come_whole_through_the_tunnels_of_the_upstream(origin):
    # An answer longer than the block, so that the block repeats.
    load = run_check(origin.port, origin.port, 3, 10, 100_000_000)
    assert (load.done, load.failed, load.bytes) == (3, 0, 300_000_000)


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_an_upload_counts_only_if_the_origin_got_all_of_it(origin, kind):
    assert upload(kind, 0, origin.port, 1 << 20).bytes == 1 << 20
    assert origin.counters()["bytes"] >= 1 << 20
    with origin_that_says(answer(b"1048575\n", length=8)) as port, pytest.raises(MeasureError):
        upload(kind, 0, port, 1 << 20)


def test_held_tunnels_are_asked_one_and_all(origin):
    with Holder(origin.port, origin.port, 30, 2) as holder:
        assert holder.hold(10) == 10
        assert holder.hold(30) == 30
        assert holder.ask_all() == 30
        assert holder.hold(30) == 30


def test_tunnels_that_have_closed_do_not_count_as_held(origin):
    with Holder(origin.port, origin.port, 10, 1) as holder:
        assert holder.hold(10) == 10
        origin.stop()
        assert holder.ask_all() == 0


@pytest.mark.parametrize(("password", "status", "logins"), [(USER.password, 200, 1), ("wrong", 407, 0)])
def test_the_ntlm_upstream_lets_in_who_knows_the_password_and_nobody_else(
    ntlm_upstream, password, status, logins
):
    context = spnego.client(
        f"{USER.domain}\\{USER.name}", password, hostname="localhost", service="HTTP", protocol="ntlm"
    )
    with closing(http.client.HTTPConnection("127.0.0.1", ntlm_upstream.port, timeout=10)) as connection:
        assert ask(connection) == (407, "NTLM")
        _, challenge = ask(connection, context.step())
        assert ask(connection, context.step(b64decode(challenge.removeprefix("NTLM "))))[0] == status
        assert ask(connection)[0] == status  # the login belongs to the connection
    counted = ntlm_upstream.counters()
    assert (counted["logins"], counted["failures"]) == (logins, 1 - logins)
    with closing(http.client.HTTPConnection("127.0.0.1", ntlm_upstream.port, timeout=10)) as connection:
        assert ask(connection)[0] == 407


def ask(connection: http.client.HTTPConnection, token: bytes | None = None) -> tuple[int, str]:
    fields = {} if token is None else {"Proxy-Authorization": f"NTLM {b64encode(token).decode()}"}
    connection.request("GET", "http://origin.test/10", headers=fields)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get("Proxy-Authenticate", "")

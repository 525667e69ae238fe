"""The right to send a login that no record counts: one process at a time has it, and it is used up once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from px.core.login.token_budget import OUT_SECONDS
from px.system.state.shared_right import SharedRight


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def right() -> Iterator[SharedRight]:
    with SharedRight.create() as created:
        yield created


def another_process(right: SharedRight, clock: Clock) -> SharedRight:
    receiving, sending = (sock.dup() for sock in right.sockets)
    return SharedRight(receiving, sending, clock)


def test_one_process_at_a_time_has_the_right_until_it_is_used_up(right: SharedRight) -> None:
    with another_process(right, Clock()) as other:
        for _ in range(2):
            assert right.is_free
            assert right.take()
            assert not other.is_free
            assert not other.is_used_up
            assert not other.take()
            right.give_back()
        assert other.take()
        other.use_up()
        for each in (right, other):
            assert each.is_used_up
            assert not each.take()
            assert each.is_used_up


def test_a_used_up_right_stays_used_up_while_another_process_looks_at_it(right: SharedRight) -> None:
    with another_process(right, Clock()) as other:
        assert right.take()
        right.use_up()
        assert other.is_used_up
        byte = right.sockets[0].recv(1)
        assert other.is_used_up
        assert right.is_used_up
        right.sockets[1].send(byte)


def test_a_right_that_is_not_given_back_counts_as_used_up_after_a_while(right: SharedRight) -> None:
    clock = Clock()
    with another_process(right, clock) as other:
        assert right.take()
        seen = []
        for clock.now in (0.0, OUT_SECONDS - 1, OUT_SECONDS):
            seen.append(other.is_used_up)
        right.give_back()
        assert [*seen, other.is_used_up] == [False, False, True, False]


@pytest.mark.skipif(sys.platform == "win32", reason="a socket has to be shared with a process there")
def test_a_right_is_lost_when_its_process_ends(right: SharedRight) -> None:
    receive = f"import socket; print(socket.socket(fileno={right.sockets[0].fileno()}).recv(1))"
    fds = [right.sockets[0].fileno()]
    assert subprocess.check_output([sys.executable, "-c", receive], pass_fds=fds).strip() == b"b'1'"
    assert not right.is_free
    assert not right.take()

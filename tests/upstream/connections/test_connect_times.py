from __future__ import annotations

from px.upstream.connections.connect_times import MAX_UPSTREAMS, REMEMBERED, ConnectTimes


def test_the_median_of_the_last_connects_counts() -> None:
    times = ConnectTimes()
    for seconds in (9.0, 9.0, 9.0, *(0.01, 0.02, 0.03, 0.04, 5.0)):
        times.note("a", seconds)
    assert REMEMBERED == 5
    assert times.median_ms("a") == 30.0
    assert times.median_ms("b") is None


def test_only_so_many_upstreams_are_remembered() -> None:
    times = ConnectTimes()
    for number in range(MAX_UPSTREAMS + 1):
        times.note(str(number), 1.0)
    assert times.median_ms("0") is None
    assert times.median_ms("1") == 1000.0

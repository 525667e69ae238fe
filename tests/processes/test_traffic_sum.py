from __future__ import annotations

from px.processes.traffic_sum import sum_traffic


def traffic(end: int, *amounts: int) -> dict[str, object]:
    doubled = [2 * amount for amount in amounts]
    return {"seconds": 10, "end": end, "up": [*amounts], "down": doubled, "requests": [1] * len(amounts)}


def test_slots_that_end_at_the_same_time_are_added() -> None:
    assert sum_traffic([traffic(100, 1, 2, 3), {}, traffic(80, 10, 20), traffic(100, 100)]) == {
        "seconds": 10,
        "end": 100,
        "up": [10, 1 + 20, 2, 3 + 100],
        "down": [20, 2 + 40, 4, 206],
        "requests": [1, 2, 1, 2],
    }


def test_traffic_of_more_than_an_hour_ago_is_left_out() -> None:
    old = traffic(4000, 7, 5)
    now, then = sum_traffic([traffic(4000 + 3590, 1), old]), sum_traffic([traffic(4000 + 3600, 1), old])
    assert (now["up"], then["up"]) == ([5, *[0] * 358, 1], [*[0] * 359, 1])


def test_workers_that_have_not_reported_have_no_traffic() -> None:
    assert sum_traffic([{}, {}]) == {}

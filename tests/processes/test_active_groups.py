"""The groups of requests and tunnels that ``px --top`` and the status page show."""

from __future__ import annotations

import pytest

from px.processes.active_groups import group_active
from tests.cli.top.recorded_status import NOW, make_active


def test_what_one_program_does_at_one_target_is_one_group() -> None:
    active = [
        make_active("a.example:443", method="CONNECT", since=NOW - 5, up=1, down=10),
        make_active("a.example:443", method="GET", since=NOW - 9, up=2, down=20, client="::ffff:127.0.0.1"),
        make_active("a.example:443", since=NOW - 7, up=4, down=40, client="::1"),
    ]
    (group,) = group_active(active).values()
    assert group.to_report() == {
        "kind": "tunnel",
        "method": "",
        "target": "a.example:443",
        "route": "proxy.corp.example:8080",
        "client": "",
        "program": "curl",
        "user": "",
        "since": NOW - 9,
        "count": 3,
        "up": 7,
        "down": 70,
    }


@pytest.mark.parametrize(
    "other",
    [
        {"target": "b.example:443"},
        {"route": "direct"},
        {"client": "10.1.2.3"},
        {"client": "a name"},
        {"program": "git"},
        {"user": "bob"},
        {"kind": "request"},
    ],
)
def test_what_differs_is_a_group_of_its_own(other: dict[str, object]) -> None:
    active = [make_active("a.example:443"), {**make_active("a.example:443"), **other}]
    assert [group.count for group in group_active(active).values()] == [1, 1]


def test_the_method_tells_requests_apart() -> None:
    active = [make_active("http://a.example/", kind="request", method=each) for each in ("GET", "PUT", "GET")]
    assert [(key.method, group.count) for key, group in group_active(active).items()] == [
        ("GET", 2),
        ("PUT", 1),
    ]

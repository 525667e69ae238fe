from __future__ import annotations

import pytest

from px.processes.status import format_status, merge_reports
from tests.cli.top.recorded_status import make_active

UPSTREAM = {
    "upstream": "http://a:1",
    "identity": "CORP\\alice",
    "has_logged_in": False,
    "blocked": "",
    "ticket": "",
    "latency_ms": None,
    "offers": [],
}


def report(number, state="ready", *, is_draining=False, tunnels=0, requests=0, **changes):
    return {
        "number": number,
        "pid": 100 + number,
        "is_draining": is_draining,
        "open_connections": tunnels + 1,
        "open_tunnels": tunnels,
        "counters": {"requests": requests},
        "upstreams": [{**UPSTREAM, "state": state, **changes}],
    }


def test_the_sums_include_all_workers_and_those_that_have_ended():
    merged = merge_reports([report(1, requests=3, tunnels=2), report(2, requests=4)], {"requests": 10})
    assert merged["counters"] == {"requests": 17}
    assert (merged["open_connections"], merged["open_tunnels"]) == (4, 2)
    assert [worker["pid"] for worker in merged["workers"]] == [101, 102]


def test_the_status_shows_a_worker_that_does_not_report():
    merged = merge_reports([{"number": 1, "pid": 101, "is_draining": False}], {})
    assert merged["workers"][0]["open_tunnels"] == 0


@pytest.mark.parametrize(
    ("states", "merged", "text"),
    [
        (("ready", "in use"), "in use", "in use"),
        (("down", "in use"), "down", "unreachable"),
        (("ready",), "ready", "not used yet"),
    ],
)
def test_the_state_of_an_upstream_is_that_of_the_best_informed_worker(states, merged, text):
    reports = [report(number, state) for number, state in enumerate(states)]
    (upstream,) = merge_reports(reports, {})["upstreams"]
    assert (upstream["state"], upstream["state_text"]) == (merged, text)


def test_the_status_shows_a_login_or_a_block_of_one_worker():
    reports = [report(1), report(2, has_logged_in=True, blocked="a refused b")]
    (upstream,) = merge_reports(reports, {})["upstreams"]
    assert upstream["has_logged_in"]
    assert upstream["blocked"] == "a refused b"


def test_the_status_shows_the_tickets_of_the_workers_and_a_missing_one():
    reports = [
        report(1, ticket="Kerberos ticket of alice@A"),
        report(2, ticket="no new Kerberos ticket: refused."),
        report(3, ticket="Kerberos ticket of alice@A"),
    ]
    (upstream,) = merge_reports(reports, {})["upstreams"]
    assert upstream["ticket"] == "no new Kerberos ticket: refused."


def test_the_status_does_not_show_upstreams_of_an_old_configuration():
    old = report(1, is_draining=True, upstream="http://old:1")
    assert [each["upstream"] for each in merge_reports([old, report(2)], {})["upstreams"]] == ["http://a:1"]


def test_the_status_shows_the_latency_and_the_offers_of_the_worker_that_knows_them():
    reports = [report(1), report(2, latency_ms=12.5, offers=["NTLM"]), report(3, latency_ms=3.0)]
    (upstream,) = merge_reports(reports, {})["upstreams"]
    assert (upstream["latency_ms"], upstream["offers"]) == (12.5, ["NTLM"])
    (unknown,) = merge_reports([report(1)], {})["upstreams"]
    assert (unknown["latency_ms"], unknown["offers"]) == (None, [])


def test_the_status_lists_the_newest_requests_of_all_workers_and_counts_them_all():
    old, new = ([make_active("a:1", since=since - n) for n in range(150)] for since in (300, 1000))
    first = {**report(1), "active": old, "active_total": 250}
    second = {**report(2), "active": new, "active_total": 150}
    merged = merge_reports([first, second], {})
    assert merged["active_total"] == 400
    assert [each["since"] for each in merged["active"]] == [*range(1000, 850, -1), *range(300, 250, -1)]
    (group,) = merged["active_groups"]
    assert (group["target"], group["count"], group["since"]) == ("a:1", 200, 251)


def test_a_status_is_text_for_people():
    reports = [
        report(1, "in use", tunnels=1, has_logged_in=True, ticket="Kerberos ticket of a"),
        report(2, is_draining=True, blocked="no"),
    ]
    status = {
        "version": "1.2",
        "pid": 99,
        "uptime_seconds": 7384.2,
        "listen": ["127.0.0.1:3128"],
        "socks": ["127.0.0.1:1080", "[::1]:1080"],
        "tunnels": [{"listen": ["127.0.0.1:2222"], "target": "git.example:22"}],
        "config": "",
        **merge_reports(reports, {"requests": 8, "pages": 3, "errors": 1, "logins_refused": 2}),
    }
    assert format_status(status).splitlines() == [
        "Px 1.2 runs, pid 99, for 2 h 3 min.",
        "  listens on  127.0.0.1:3128",
        "  SOCKS5 on   127.0.0.1:1080, [::1]:1080",
        "  tunnel      127.0.0.1:2222 to git.example:22",
        "  px.ini      none",
        "  worker      1, pid 101: 2 connections, 1 tunnel",
        "  worker      2, pid 102: 1 connection, 0 tunnels; ends when they do",
        "  upstream    http://a:1 in use, logged in as CORP\\alice",
        "              Kerberos ticket of a",
        "  open        3 connections, 1 tunnel",
        "  so far      0 connections, 5 requests, 0 tunnels, 1 error",
        "  logins      0 accepted, 2 refused",
        "  bytes       0 from clients, 0 to clients",
    ]


def test_the_source_of_the_upstreams_comes_from_a_worker_that_does_not_drain():
    reports = [
        {**report(1, is_draining=True), "discovered_proxy": "environment: http://old:1"},
        {**report(2), "discovered_proxy": "--pac: PAC script http://a/"},
    ]
    assert merge_reports(reports, {})["discovered_proxy"] == "--pac: PAC script http://a/"
    assert merge_reports(reports[:1], {})["discovered_proxy"] == ""

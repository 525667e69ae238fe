"""``/metrics``: read by the parser of prometheus-client, and by promtool where it is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from px.downstream.pages.metrics import format_metrics

parser = pytest.importorskip(
    "prometheus_client.parser", reason="NOT TESTED: prometheus-client is not installed"
)
DOCS = Path(__file__).parents[3] / "docs"
UPSTREAM = {"state": "ready", "identity": "x", "has_logged_in": False, "blocked": "", "latency_ms": None}
STATUS: dict[str, Any] = {
    "version": "1.2",
    "started": 1000.5,
    "workers": [{}, {}],
    "open_connections": 3,
    "open_tunnels": 2,
    "active_total": 4,
    "problems": [{}],
    "counters": {"requests": 17, "logins_refused": 2, "sent_bytes": 10**15},
    "upstreams": [
        {**UPSTREAM, "upstream": "http://a:1", "state": "in use", "latency_ms": 12.5},
        {**UPSTREAM, "upstream": "http://a:1", "identity": 'CORP\\"al\nice', "has_logged_in": True},
        {**UPSTREAM, "upstream": "http://b:1", "state": "down", "blocked": "x refused y"},
    ],
}


def read(text: str) -> dict[str, float]:
    samples: dict[str, float] = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_the_metrics_have_what_the_status_says() -> None:
    body, content_type = format_metrics(STATUS, "")
    assert content_type.startswith(b"text/plain; version=0.0.4")
    assert b"CORP" not in body
    assert read(body.decode()) == {
        "px_build_info{version=1.2}": 1,
        "px_start_time_seconds": 1000.5,
        "px_workers": 2,
        "px_open_connections": 3,
        "px_open_tunnels": 2,
        "px_active_requests": 4,
        "px_problem_kinds": 1,
        "px_connections_total": 0,
        "px_requests_total": 17,
        "px_tunnels_total": 0,
        "px_errors_total": 0,
        "px_received_bytes_total": 0,
        "px_sent_bytes_total": 1e15,
        "px_pages_total": 0,
        "px_logins_total{result=accepted}": 0,
        "px_logins_total{result=refused}": 2,
        "px_upstream_up{upstream=http://a:1}": 1,
        "px_upstream_up{upstream=http://b:1}": 0,
        "px_upstream_in_use{upstream=http://a:1}": 1,
        "px_upstream_in_use{upstream=http://b:1}": 0,
        "px_upstream_connect_seconds{upstream=http://a:1}": 0.0125,
        "px_upstream_logged_in{upstream=http://a:1}": 1,
        "px_upstream_logged_in{upstream=http://b:1}": 0,
        "px_upstream_login_blocked{upstream=http://a:1}": 0,
        "px_upstream_login_blocked{upstream=http://b:1}": 1,
    }


@pytest.mark.parametrize("version", ["1.0.0", "1.x", "", "0.0.1,text/plain;q=0.5"])
def test_the_format_is_the_one_that_is_asked_for(version: str) -> None:
    accept = f"application/openmetrics-text; version={version}"
    body, content_type = format_metrics(STATUS, accept)
    assert content_type.startswith(b"application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_promtool_finds_no_fault() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "NOT TESTED: promtool is not installed; the parser of prometheus-client reads the metrics"
        )
    body, _ = format_metrics(STATUS, "")
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bpx_[a-z_]+", text))


def test_the_document_and_the_dashboard_name_existing_metrics_only_and_the_document_all() -> None:
    body, _ = format_metrics(STATUS, "")
    existing = {name.partition("{")[0] for name in read(body.decode())}
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert queries
    assert names_in(" ".join(queries)) <= existing
    document = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    assert names_in(document) == existing

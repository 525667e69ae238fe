"""The request to a hop has all its parts, and no step changes it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import cast

import pytest

from px.core.http.request_head import parse_request
from px.core.trace.request_trace import NO_TRACE
from px.upstream.connections.connection import Hop
from px.upstream.message import Request, ignore_interim
from px.upstream.request_body import RequestBody

HEAD = parse_request(b"GET http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\n\r\n")
REQUEST = Request(HEAD, cast("RequestBody", None), None)


@pytest.mark.parametrize("name", [field.name for field in fields(Request)])
def test_no_attribute_of_a_request_can_be_changed(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(REQUEST, name, getattr(REQUEST, name))


def test_a_request_of_px_itself_has_no_trace_no_interim_answers_and_no_bound_connection() -> None:
    assert (REQUEST.trace, REQUEST.on_interim, REQUEST.bound) == (NO_TRACE, ignore_interim, None)


@pytest.mark.parametrize(
    ("hop", "method", "target"),
    [
        (Hop("up", "up", "proxy.test", 8080, is_upstream=True), b"GET", b"http://origin.test/x"),
        (Hop("origin", "origin", "origin.test", 80), b"GET", b"/x"),
        (Hop("up", "up", "proxy.test", 8080, is_upstream=True), b"CONNECT", b"origin.test:80"),
    ],
)
def test_the_target_has_the_form_that_the_hop_wants(hop: Hop, method: bytes, target: bytes) -> None:
    assert replace(REQUEST, head=replace(HEAD, method=method)).target_at(hop) == target

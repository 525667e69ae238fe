"""Warnings about silent tunnels."""

from __future__ import annotations

import logging

import pytest

from px.core.http.target import Authority
from px.downstream import idle_warnings
from px.downstream.idle_warnings import IdleWarnings


def test_the_number_of_remembered_hosts_is_bounded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_warnings, "MAX_HOSTS", 2)
    warnings = IdleWarnings()
    with caplog.at_level(logging.WARNING, "px.tunnel"):
        for host in ("a", "b", "b", "c", "c", "b", "a"):
            warnings.note_closed(Authority(host, 443), 30)
    hosts = [each.getMessage().split(":443")[0].rpartition(" ")[2] for each in caplog.records]
    assert hosts == ["a", "b", "c", "a"]
    assert repr(warnings) == "<IdleWarnings hosts=2>"

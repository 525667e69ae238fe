"""Failures of this computer, and of Px itself."""

from __future__ import annotations

import errno
import os

import pytest

from px.io.local_failure import explain_exhaustion, explain_fault


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_a_computer_without_resources_names_what_it_cannot_do(number: int) -> None:
    error = explain_exhaustion(OSError(number, os.strerror(number)), "open another connection")
    assert error is not None
    assert error.cause == f"This computer cannot open another connection: {os.strerror(number).lower()}."
    assert (error.status, error.retry_after) == (503, 1)


def test_a_computer_without_memory_is_out_of_resources() -> None:
    error = explain_exhaustion(MemoryError(), "serve this request")
    assert error is not None
    assert error.cause == "This computer cannot serve this request: out of memory."


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "reset"), ValueError("no number")])
def test_another_failure_is_not_one_of_this_computer(error: Exception) -> None:
    assert explain_exhaustion(error, "serve this request") is None


def test_the_error_for_a_fault_of_px_names_the_logs() -> None:
    error = explain_fault()
    assert "fault of Px" in error.cause
    assert "log" in error.hint
    assert error.status == 502

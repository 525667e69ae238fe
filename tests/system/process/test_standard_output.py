from __future__ import annotations

import errno
import os
import sys

import pytest

from px.system.process.standard_output import until_reader_leaves


def test_a_reader_that_leaves_is_no_error_and_later_output_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = os.pipe()
    went_on: list[bool] = []
    with os.fdopen(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        os.close(read)
        with until_reader_leaves():
            stdout.write("for nobody\n")
            stdout.flush()
            went_on.append(True)
        stdout.write("for nobody\n")
        stdout.flush()
    assert not went_on


def test_any_other_error_is_raised() -> None:
    with pytest.raises(OSError, match="full"), until_reader_leaves():
        raise OSError(errno.ENOSPC, "full")

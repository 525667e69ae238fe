"""The Keep-Alive field."""

from __future__ import annotations

import pytest

from px.core.http.keep_alive import parse_keep_alive


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([b"timeout=5, max=100"], 5),
        ([b"timeout=5"], 5),
        ([b"max=100, Timeout = 15"], 15),
        ([b"max=100,timeout=15"], 15),
        ([b'timeout="20"'], 20),
        ([b"timeout=0"], 0),
        ([b"timeout=5", b"timeout=3"], 3),
        ([b"timeout=65s"], 65),
        ([b"max=100"], None),
        ([b"timeout=long"], None),
        ([b"timeout=-1"], None),
        ([b"no-timeout=5"], None),
        ([b"timeout=12345678901"], None),
        ([b"300"], None),
        ([b""], None),
        ([], None),
    ],
)
def test_the_time_is_read_as_servers_write_it(values: list[bytes], seconds: int | None) -> None:
    assert parse_keep_alive(values) == seconds

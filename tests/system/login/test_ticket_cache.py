"""Noticing that a ticket cache changed."""

from __future__ import annotations

import os
import sys

import pytest

from px.system.login.ticket_cache import mark_cache, stamp_cache


@pytest.mark.parametrize(
    "prefix",
    [
        pytest.param("", marks=pytest.mark.skipif(sys.platform == "win32", reason="C: looks like a kind")),
        "FILE:",
        "WRFILE:",
    ],
)
def test_a_file_that_is_written_made_or_removed_has_another_stamp(tmp_path, prefix):
    file = tmp_path / "cc"
    name = f"{prefix}{file}"
    missing = stamp_cache(name, 0)
    file.write_bytes(b"x")
    first = stamp_cache(name, 0)
    assert stamp_cache(name, 99) == first
    file.write_bytes(b"xy")
    second = stamp_cache(name, 0)
    (tmp_path / "new").write_bytes(b"xy")
    os.utime(tmp_path / "new", ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    (tmp_path / "new").replace(file)
    third = stamp_cache(name, 0)
    assert len({missing, first, second, third}) == 4


def test_another_cache_has_another_stamp(tmp_path):
    assert stamp_cache(f"FILE:{tmp_path}/a", 0) != stamp_cache(f"FILE:{tmp_path}/b", 0)


@pytest.mark.parametrize("name", ["KCM:1000", "KEYRING:persistent:1000", "DIR:/run/user/1000/cc", "API:x"])
def test_a_cache_that_is_no_file_has_a_new_stamp_every_second(name):
    assert stamp_cache(name, 5.0) == stamp_cache(name, 5.9) != stamp_cache(name, 6.0)


def test_a_new_ticket_changes_the_mark_that_the_lock_out_memory_compares(tmp_path):
    cache = tmp_path / "cache"
    without = mark_cache(f"FILE:{cache}")
    cache.write_bytes(b"ticket")
    first = mark_cache(f"FILE:{cache}")
    cache.write_bytes(b"another ticket")
    assert len({without, first, mark_cache(str(cache)), mark_cache(f"FILE:{cache}")}) >= 3
    assert mark_cache(f"FILE:{cache}") == mark_cache(f"FILE:{cache}")


def test_a_cache_that_cannot_be_watched_has_no_mark():
    assert mark_cache("KCM:1000") == ""

"""Log files of bounded size."""

from __future__ import annotations

from pathlib import Path

from px.logs.rotation import make_room


def test_a_full_file_is_moved_aside_and_the_oldest_one_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for text in ("aaaa", "bbbb", "cccc", "dddd"):
        make_room(path, 4, max_bytes=4, kept=2)
        path.write_text(text)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "x.log": "dddd",
        "x.log.1": "cccc",
        "x.log.2": "bbbb",
    }


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    make_room(tmp_path, 1, max_bytes=0, kept=1)
    make_room(tmp_path / "none", 1, max_bytes=0, kept=1)
    assert not list(tmp_path.iterdir())

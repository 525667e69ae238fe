"""``px --import`` as a user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .px_command import run_px

CONF = "Username alice\nDomain CORP\nPassword s3cret\nProxy proxy.corp.example:8080\nListen 3128\nFlags 1\n"


@pytest.mark.shows("--import")
def test_px_says_what_it_took_over_what_not_and_what_to_do_next(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "cntlm.conf").write_text(CONF, encoding="utf-8")
    done = run_px("--import=cntlm.conf", "--config=my.ini", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "cntlm.conf: read as a configuration of cntlm",
        "  username = CORP\\alice",
        "  server = proxy.corp.example:8080",
        "  port = 3128",
        "  listen = localhost",
        f"Saved to {tmp_path / 'my.ini'}",
        f"Next: px --password --config={tmp_path / 'my.ini'}",
        f"Then: px --test --config={tmp_path / 'my.ini'}",
    ]
    reason = "px.ini holds no passwords; store it in the keyring: px --password"
    assert done.stderr.splitlines() == [
        "px: cntlm.conf:6: Flags is not needed: Px and the proxy agree on the flags of NTLM by themselves",
        f"px: warning: cntlm.conf:3: Password: the password is not taken over: {reason}",
    ]


def test_px_says_that_a_file_in_the_working_directory_counts_only_there(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "cntlm.conf").write_text(CONF, encoding="utf-8")
    lines = run_px("--import=cntlm.conf", cwd=tmp_path).stdout.splitlines()
    at = lines.index(f"Saved to {tmp_path / 'px.ini'}")
    assert lines[at + 1].startswith("Px uses this file only when it starts in this directory.")
    place = Path(lines[at + 2].removeprefix("move it to "))
    assert (place.parent.name, place.name) == ("px", "px.ini")
    place.parent.mkdir(parents=True)
    (tmp_path / "px.ini").replace(place)
    again = run_px("--import=cntlm.conf", cwd=tmp_path).stdout
    assert f"Saved to {place}\nNext: " in again

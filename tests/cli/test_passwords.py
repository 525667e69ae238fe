"""What `px --password` and `px --hash` print, and what they refuse."""

from __future__ import annotations

import os
import sys

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from tests.px_process import PxProcess, run_action


def test_only_the_hash_of_the_password_goes_to_stdout(cwd):
    done = run_action(cwd, "--hash", stdin="Pässwörd1€\n")
    assert (done.returncode, done.stdout) == (0, nt_hash("Pässwörd1€").hex() + "\n")
    assert "PX_NTHASH" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_hash_without_a_password_prints_no_hash(cwd):
    done = run_action(cwd, "--hash", stdin="\n")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "px: --hash: no password was given\n")


@pytest.mark.parametrize("argv", [["--password=hunter2"], ["--password", "hunter2"], ["--hash", "hunter2"]])
def test_a_secret_on_the_command_line_is_refused_and_not_shown(cwd, argv):
    done = run_action(cwd, *argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert "other users could read a secret on the command line" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_password_without_a_user_is_a_configuration_error(cwd):
    done = run_action(cwd, "--password", stdin="pw\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("px: --password: no user is named; give --username=USER")


@pytest.mark.skipif(sys.platform != "win32", reason="needs the Windows Credential Manager")
def test_windows_keeps_a_password_until_it_is_removed(cwd):
    user = f"CORP\\px-test-{os.getpid()}"
    done = run_action(cwd, "--password", f"--username={user}", stdin="Pässwörd1€\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'of {user} is stored in the Windows Credential Manager, as service "Px"' in done.stdout
    try:
        with PxProcess(cwd, "--proxy=127.0.0.1:1", f"--username={user}", "--verbose") as px:
            assert f"a password of {user} is stored, as service Px" in px.output
    finally:
        done = run_action(cwd, "--password", f"--username={user}", stdin="\n")
    assert f"The password of {user} is removed" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a keyring")
def test_without_a_keyring_one_line_names_the_alternatives(cwd):
    done = run_action(cwd, "--password", "--username=alice", stdin="pw\n")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    for way in ("gnome-keyring", "KWallet", "PX_PASSWORD", "PX_NTHASH", "px --hash"):
        assert way in line

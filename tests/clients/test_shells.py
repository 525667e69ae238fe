"""The shells for which ``px --env`` prints settings can run this output."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from px.cli.env.shells import SHELLS
from tests.cli.env.test_endpoint import LOCAL, endpoint_with
from tests.clients.program import Place, need
from tests.corpnet.system_programs import SYSTEM_PATH
from tests.px_process import PxProcess
from tests.small_origin import running_origin

ROOT = Path(__file__).resolve().parents[2]
URL = "http://127.0.0.1:3129"
NO_PROXY = f"{LOCAL},10.0.0.0/8,corp.example"
SHOW = "env | grep -i _proxy= | sort"  # as a program sees them


@pytest.mark.shows("--env")
@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_programs_in_a_shell_have_the_variables_until_the_shell_undoes_them(tmp_path, shell):
    if shutil.which(shell, path=SYSTEM_PATH) is None:
        pytest.skip(f"NOT TESTED: no {shell} here")
    kind = SHELLS[shell]
    use, undo = kind.use(endpoint_with("10.*, .corp.example").values), kind.undo()
    code = "\n".join([*use, SHOW, "echo undone", *undo, SHOW])
    shown = Place.create(tmp_path / shell).run(shell, "-c", code)
    set_lines, undone, unset = shown.partition("undone\n")
    assert undone
    assert unset == ""
    assert dict(line.split("=", 1) for line in set_lines.splitlines()) == {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), URL),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), NO_PROXY),
    }


@pytest.mark.shows("--env")
def test_curl_in_such_a_shell_uses_px_except_for_this_computer(tmp_path):
    need("curl", "bash")
    tmp_path.chmod(0o700)
    heads: list[bytes] = []
    (tmp_path / "px").mkdir(mode=0o700)
    px_script = tmp_path / "px.sh"
    px_script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "src"}" exec "{sys.executable}" -m px "$@"\n')
    px_script.chmod(0o700)
    with (
        running_origin(heads) as upstream,
        running_origin(heads) as origin,
        PxProcess(tmp_path / "px", f"--proxy=127.0.0.1:{upstream}") as px,
    ):
        code = f"""
            eval $({px_script} --env)
            curl -sS http://site.example/ http://localhost:{origin}/
            eval "$({px_script} --env=bash:undo)"
            echo " $http_proxy."
        """
        state = {"XDG_STATE_HOME": px.environment["XDG_STATE_HOME"]}  # by which px --env finds the Px
        shown = Place.create(tmp_path / "shell").run("bash", "-c", code, env=state)
    assert shown.endswith("okok .\n")
    assert [head.split(b"\r\n")[0] for head in heads] == [
        b"GET http://site.example/ HTTP/1.1",
        b"GET / HTTP/1.1",
    ]

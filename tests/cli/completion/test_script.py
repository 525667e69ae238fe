"""``px --completions``: the real shells complete what a person types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from px.cli.completion.flags import list_flags
from px.cli.completion.script import format_script
from px.config.actions import ACTIONS
from px.config.options import OPTIONS
from tests.cli.px_command import run_px

#: What a person types behind `px `, with the Tab key, and the arguments that px receives.
TYPED = {
    "--accesslog_f\tc\t": "<--accesslog_format=combined>",
    "--env=gi\t:u\t": "<--env=git:undo>",
    "--log \t5": "<--log><5>",
    "--auth=nego\t": "<--auth=NEGOTIATE>",
    "--client_auth kerb\t": "<--client_auth><KERBEROS>",
    "--config=/etc/host.c\t": "<--config=/etc/host.conf>",
    "--import=/etc/host.c\t": "<--import=/etc/host.conf>",
    "--status --js\t": "<--status><--json>",
    "--js\t": "<--js>",
    "--save --sta\t": "<--save><--sta>",
    "--client-p\t": "<--client-password>",
    "--run -- mkfif\t": "<--run><--><mkfifo>",
}
SHOW = "px() { printf '<%s>' \"$@\"; echo; }\n"
SHELLS = {
    "bash": (["bash", "--norc", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D\n"),
}


def need(shell: str) -> None:
    if sys.platform == "win32" or shutil.which(shell) is None:
        pytest.skip(f"NOT TESTED: no {shell} here")


@pytest.mark.shows("--completions")
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_what_a_person_types(tmp_path, shell):
    need(shell)
    from tests.terminal import Terminal  # noqa: PLC0415 - not on Windows

    script = tmp_path / "script"
    script.write_text(format_script(shell))
    command, start = SHELLS[shell]
    with Terminal(command, {**os.environ, "TERM": "dumb", "PS1": "$ ", "HOME": str(tmp_path)}) as terminal:
        terminal.press(f"{SHOW}{start}. {script}\n")
        for keys in TYPED:
            terminal.press(f"px {keys}\n")
        terminal.press("exit\n")
        output = terminal.read_to_end()
    shown = [line for line in output.splitlines() if line.startswith("<")]
    assert shown == list(TYPED.values())


@pytest.mark.shows("--completions")
def test_fish_completes_what_a_person_types(tmp_path):
    need("fish")
    script = tmp_path / "script"
    script.write_text(format_script("fish"))
    typed = {
        "--accesslog_f": ["--accesslog_format"],
        "--accesslog_format=": [f"--accesslog_format={each}" for each in ("combined", "json", "px")],
        "--env=gi": ["--env=git", "--env=git:undo"],
        "--log ": list("012345"),
        "--config=/etc/host.c": ["--config=/etc/host.conf"],
        "--status --js": ["--json"],
        "--js": [],
        "--save --sta": [],
        "--run -- mkfif": ["mkfifo"],
    }
    code = "; ".join(f"complete -C 'px {keys}'; echo end" for keys in typed)
    done = subprocess.run(
        ["fish", "-N", "-c", f"source {script}; {code}"], capture_output=True, text=True, check=True
    )
    answers = [block.splitlines() for block in done.stdout.split("end\n")[:-1]]
    assert [[line.partition("\t")[0] for line in lines] for lines in answers] == list(typed.values())


@pytest.mark.shows("--completions")
def test_powershell_completes_what_a_person_types(tmp_path):
    if shutil.which("pwsh") is None:
        pytest.skip("NOT TESTED: no pwsh here")
    script = tmp_path / "script.ps1"
    script.write_text(format_script("powershell"))
    typed = {
        "--accesslog_f": ["--accesslog_format="],
        "--accesslog-format=c": ["--accesslog_format=combined"],
        "--env=gi": ["--env=git", "--env=git:undo"],
        "--auth kerb": ["KERBEROS"],
        "--status --js": ["--json"],
        "--save --sta": [],
    }
    lines = [f". '{script}'", "function show($line) { (TabExpansion2 $line $line.Length).CompletionMatches"]
    lines += ["  | ForEach-Object CompletionText; 'end' }", *(f"show 'px {keys}'" for keys in typed)]
    shown = tmp_path / "show.ps1"
    shown.write_text("\n".join(lines))
    done = subprocess.run(
        ["pwsh", "-NoProfile", "-File", shown], capture_output=True, text=True, check=True, timeout=60
    )
    blocks = done.stdout.replace("\r", "").split("end\n")[:-1]
    assert [block.splitlines() for block in blocks] == list(typed.values())


def test_each_script_has_each_flag_and_no_secret():
    names = {flag.text.removeprefix("--") for flag in list_flags()}
    expected = {action.flag.removeprefix("--") for action in ACTIONS}
    expected |= {switch for action in ACTIONS for switch in action.switches}
    expected |= {option.name for option in OPTIONS if option.is_flag}
    assert names == expected
    for shell in ("bash", "zsh", "fish", "powershell"):
        script = format_script(shell)
        assert [name for name in names if name not in script] == []
        assert "--nthash" not in script


def test_px_prints_the_script(cwd):
    done = run_px("--completions=fish", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{format_script('fish')}\n"

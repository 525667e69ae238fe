"""Secrets do not appear in errors, crash logs or the `repr` of an object."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from tests.free_ports import free_port
from tests.leaks import check_files, check_text, forms_of
from tests.px_process import run_action

#: A password with characters that URLs, shells or JSON must escape.
PASSWORD = "Wr0ng ü'\"\\%5c-7d"


@pytest.mark.parametrize(
    ("ini", "dotenv", "environment"),
    [
        (f"[proxy]\nserver = http://alice:{PASSWORD}@ho st:1\n", "", {}),
        (f"[proxy]\nserver = ftp://alice:{quote(PASSWORD)}@host:1\n", "", {}),
        (f"[proxy]\nnthash = {nt_hash(PASSWORD).hex()}0\n", "", {}),
        (f"[proxy]\nusername = alice:{PASSWORD}\n", "", {}),
        (f"[proxy]\n{PASSWORD}\n", "", {}),
        ("", f'PX_PASSWORD="{PASSWORD}\n', {}),
        ("", f"PX_PASWORD={PASSWORD}\n", {}),
        ("", "", {"PX_NTHASH": nt_hash(PASSWORD).hex() + "0"}),
        ("", "", {"PX_PASSWD": PASSWORD, "PX_PASSWORD": PASSWORD}),
        ("", "", {"PX_SERVER": f"http://alice:{PASSWORD}@:1"}),
    ],
)
def test_a_mistake_in_the_configuration_shows_no_secret(tmp_path, ini, dotenv, environment):
    forms = forms_of(PASSWORD, "alice")
    tmp_path.chmod(0o700)
    for name, text in (("px.ini", ini), (".env", dotenv)):
        (tmp_path / name).write_text(text)
    done = run_action(tmp_path, environment=environment)
    assert done.returncode == 2
    check_text("the output", done.stdout + done.stderr, forms)


#: A Px whose crash shows all its values.
_CRASHING = """
import sys
from px.app import px as px_module
from px.cli import main as main_module

class Px(px_module.Px):
    async def serve(self):
        sources = [hop.login.source for hop in self._hops.values()]
        settings = self._settings
        raise RuntimeError(f"{settings} {settings!r} {settings.proxy} {vars(self)} {sources} "
                           f"{sources[0].password_credentials}")

px_module.Px = Px
sys.exit(main_module.run_command(sys.argv[1:]))
"""


def test_a_crash_shows_no_secret(tmp_path):
    forms = forms_of(PASSWORD, "alice")
    environment = {
        "PX_PASSWORD": PASSWORD,
        "PX_NTHASH": nt_hash(PASSWORD).hex(),
        "PX_SERVER": f"http://bob:{quote(PASSWORD)}@host:1,host:2",
    }
    program = ("-c", _CRASHING)
    done = run_action(
        tmp_path,
        "--username=alice",
        "--verbose",
        "--debug",
        "--workers=1",
        f"--port={free_port()}",
        environment=environment,
        program=program,
    )
    assert (done.returncode, "crashed: " in done.stderr) == (1, True)
    check_text("the output", done.stdout + done.stderr, forms)
    names = [path.name for path in check_files(tmp_path, forms)]
    assert any(name.startswith("debug-crash-") for name in names)
    assert any(name.endswith("-main.log") for name in names)


def test_the_check_finds_each_form_of_a_secret(tmp_path):
    forms = forms_of(PASSWORD, "alice")
    for text in (*forms.values(), nt_hash(PASSWORD).hex().upper(), "NTLM TlRMTVNTUAADAAAA"):
        with pytest.raises(AssertionError, match=" in somewhere"):
            check_text("somewhere", f"xx{text}xx", forms)
        (tmp_path / "file").write_text(json.dumps([text], ensure_ascii=False), "utf-8")
        with pytest.raises(AssertionError, match="file"):
            check_files(tmp_path, {"text": json.dumps(text, ensure_ascii=False)[1:-1]})

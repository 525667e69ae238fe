"""`px --demo`: its exchange is real, and its output shows that exchange."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from px.cli.demo import story as story_module
from px.cli.demo.upstream import DemoUpstream, Message
from px.core.auth.ntlm.md4 import nt_hash
from tests.windows import not_under_wine

ROOT = Path(__file__).resolve().parents[3]
ANSI = re.compile(r"\x1b\[[0-9;]*m")
PASSWORD = "made-up-and-known-to-this-test"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user whose home is `home` and whose proxy variables name dead proxies."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PX_", "XDG_"))}
    dead = "http://127.0.0.1:9"
    own = {
        "HOME": str(home),
        "APPDATA": str(home),
        "LOCALAPPDATA": str(home),
        "USERPROFILE": str(home),
        "http_proxy": dead,
        "https_proxy": dead,
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
    }
    return {**kept, **own, **more}


def run_demo(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "px", "--demo"],
        cwd=home,
        env=environment(home, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


@pytest.fixture
def home(tmp_path):
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def wire(monkeypatch):
    """Collect every message of a demo that runs in this process."""
    messages: list[Message] = []
    show = story_module.Screen.show

    def listen_in(screen: story_module.Screen, shown: list[Message]) -> None:
        messages.extend(shown)
        show(screen, shown)

    monkeypatch.setattr(story_module.Screen, "show", listen_in)
    return messages


def test_the_demo_shows_a_407_without_px_and_a_200_through_it(home):
    done = run_demo(home)
    assert (done.returncode, done.stderr) == (0, "")
    refused, accept_login, tunnel = (
        done.stdout.index(text)
        for text in ("program ←──────── proxy   407", "program ←─ Px            200 OK", "200 Connection est")
    )
    assert refused < accept_login < tunnel
    assert "px --proxy=proxy.corp.example:8080" in done.stdout


@not_under_wine("a Python takes seconds to start")
def test_the_demo_ends_by_itself_soon(home):
    run_demo(home)
    began = time.monotonic()
    run_demo(home)
    assert time.monotonic() - began < 5  # it takes 0.7 s; the computer may be busy


def test_the_demo_leaves_nothing_behind(home):
    temporary = home / "temporary"
    temporary.mkdir()
    assert run_demo(home, TMPDIR=str(temporary)).returncode == 0
    assert list(home.rglob("*")) == [temporary]


def test_the_demo_shows_the_messages_that_went_over_the_wire(wire, capsys):
    assert story_module.run_demo() == 0
    shown = re.findall(r"NTLM (\S+)\.\.\.", capsys.readouterr().out)
    sent = re.findall(rb"NTLM ([\w+/]+=*)\r", b"".join(message.head for message in wire))
    assert [token[:12].decode() for token in sent] == shown
    assert [b64decode(token)[8] for token in sent] == [1, 2, 3]


def test_px_logs_in_once_for_both_requests_of_the_demo(wire, capsys):
    story_module.run_demo()
    capsys.readouterr()
    assert [message.head.split()[0] for message in wire if message.receiver == "proxy"] == [
        b"GET",  # the program itself
        *(b"GET", b"GET", b"GET"),  # Px: without a login, NTLM type 1, NTLM type 3
        b"CONNECT",
    ]
    assert {message.connection for message in wire if message.sender == "Px"} == {0, 2}


def test_the_demo_fails_at_an_upstream_that_has_another_password(wire, capsys):
    assert story_module.run_demo("another password") == 4
    out, err = capsys.readouterr()
    assert "200" not in out
    assert "refused the login of DEMO\\alice by NTLM" in " ".join(out.split())
    assert err.endswith("px: the demo failed: Px answered 502, not 200\n")
    assert not any(message.login for message in wire)


def test_the_password_is_neither_in_the_output_nor_on_the_wire(wire, capsys, monkeypatch):
    monkeypatch.setattr("px.cli.demo.story.secrets.token_urlsafe", lambda _: PASSWORD)
    assert story_module.run_demo() == 0
    heads = b"".join(message.head for message in wire)
    tokens = b"".join(map(b64decode, re.findall(rb"NTLM ([\w+/]+=*)\r", heads)))
    for secret in (PASSWORD.encode(), PASSWORD.encode("utf-16-le"), b64encode(PASSWORD.encode())):
        assert secret not in heads + tokens
    assert PASSWORD not in "".join(capsys.readouterr())


def test_a_password_on_the_wire_would_make_the_demo_fail(capsys, monkeypatch):
    monkeypatch.setattr("px.cli.demo.story.secrets.token_urlsafe", lambda _: "www.example")
    assert story_module.run_demo() == 4
    assert "the password went over the wire" in capsys.readouterr().err


def test_a_demo_that_takes_too_long_fails(capsys, monkeypatch):
    monkeypatch.setattr(story_module, "_TIMEOUT_SECONDS", 0.0)
    assert story_module.run_demo() == 4
    assert capsys.readouterr().err == "px: the demo failed: it was not through after 0 s\n"


def test_without_a_loopback_interface_the_demo_fails(capsys, monkeypatch):
    async def refuse(_):
        raise OSError("no such device")

    monkeypatch.setattr(DemoUpstream, "start", refuse)
    assert story_module.run_demo() == 4
    assert (
        capsys.readouterr().err == "px: the demo failed: no connection within this computer: no such device\n"
    )


# The terminal


def test_output_to_a_pipe_has_no_colours_and_lines_of_80_columns(home):
    out = run_demo(home, COLUMNS="200").stdout
    assert not ANSI.search(out)
    assert max(map(len, out.splitlines())) < 80


def test_output_in_an_encoding_other_than_utf_8_is_plain_ascii(home):
    done = run_demo(home, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "program --------> proxy   GET http://www.example/" in done.stdout


def test_a_narrow_terminal_gets_explanations_on_lines_of_their_own(home):
    out = run_demo(home, COLUMNS="50", PYTHONIOENCODING="ascii").stdout
    assert "     Px -> proxy   GET, NTLM TlRMTVNTUAAD...\n                   (the proof)\n" in out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a broken pipe in another way")
def test_a_reader_that_closes_the_pipe_causes_no_error(home):
    command = f'"{sys.executable}" -m px --demo | head -1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command], cwd=home, env=environment(home), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "has_colours"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_output_to_a_terminal_has_colours_unless_the_user_turns_them_off(home, more, has_colours):
    out = run_in_terminal(home, **{"TERM": "xterm", **more})
    assert bool(ANSI.search(out)) == has_colours
    assert ("\x1b[31m407 Proxy Authentication Required\x1b[0m" in out) == has_colours


def run_in_terminal(home: Path, **more: str) -> str:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    env = {**environment(home), "NO_COLOR": "", **more}
    process = subprocess.Popen([sys.executable, "-m", "px", "--demo"], cwd=home, env=env, stdout=theirs)
    os.close(theirs)
    out = bytearray()
    try:
        while data := os.read(ours, 65536):
            out += data
    except OSError:  # Linux reports so that the other end of the terminal is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0
    return out.decode()


def test_the_demo_prints_nothing_without_a_stdout():
    screen = story_module.Screen(None)
    screen.head("heading")
    screen.show([Message("program", "Px", b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n")])


# The upstream

GET = b"GET http://h/ HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture
async def upstream():
    messages: list[Message] = []
    known = {("alice", "DEMO"): nt_hash(PASSWORD)}
    proxy = DemoUpstream(lambda user, domain: known.get((user, domain)), messages.append)
    port = await proxy.start()
    yield port
    await proxy.stop()


async def talk(port: int, *requests: bytes) -> list[bytes]:
    """Send requests over one connection; return the heads of the answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heads = []
    for request in requests:
        writer.write(request)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            heads.append(b"")
            break
        heads.append(head)
        await reader.readexactly(int(find(rb"Content-Length: (\d+)", head)))
    writer.close()
    await writer.wait_closed()
    return heads


def find(pattern: bytes, head: bytes) -> bytes:
    found = re.search(pattern, head)
    assert found
    return found[1]


def ask(token: bytes) -> bytes:
    return GET + b"Proxy-Authorization: NTLM " + b64encode(token) + b"\r\n\r\n"


TYPE_1 = b"NTLMSSP\0\1\0\0\0\1\x82\x08\0" + bytes(16)


async def test_the_upstream_answers_a_request_without_a_login_with_407(upstream):
    (head,) = await talk(upstream, GET + b"\r\n")
    assert head.startswith(b"HTTP/1.1 407 ")
    assert b"Proxy-Authenticate: NTLM\r\n" in head


async def test_the_upstream_never_repeats_a_challenge(upstream):
    heads = await talk(upstream, ask(TYPE_1), ask(TYPE_1))
    challenges = [b64decode(find(rb"NTLM (\S+)", head))[24:32] for head in heads]
    assert challenges[0] != challenges[1]


@pytest.mark.parametrize(
    "credentials",
    [
        ask(b"NTLMSSP\0\3\0\0\0" + bytes(60)),
        ask(b"NTLMSSP\0\7\0\0\0"),
        ask(b"noise"),
        GET + b"Proxy-Authorization: Basic " + b64encode(b"alice:" + PASSWORD.encode()) + b"\r\n\r\n",
    ],
    ids=["empty proof", "unknown message type", "noise", "Basic"],
)
@pytest.mark.parametrize("before", [(), (ask(TYPE_1),)], ids=["cold", "challenged"])
async def test_the_upstream_refuses_credentials_that_prove_nothing(upstream, credentials, before):
    heads = await talk(upstream, *before, credentials, GET + b"\r\n")
    assert all(head.startswith(b"HTTP/1.1 407 ") for head in heads)


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01 noise\r\n\r\n", b"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n."],
    ids=["not HTTP", "a body"],
)
async def test_the_upstream_closes_after_a_request_that_it_does_not_support(upstream, request_bytes):
    assert await talk(upstream, request_bytes) == [b""]


def test_messages_do_not_show_their_tokens():
    assert "secret" not in repr(Message("Px", "proxy", b"secret"))


def test_the_encoding_of_the_output_decides_how_arrows_look():
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    story_module.Screen(ascii_stream).show([Message("program", "Px", GET + b"\r\n")])
    ascii_stream.seek(0)
    assert ascii_stream.read() == "  program -> Px            GET http://h/\n"

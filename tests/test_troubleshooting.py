"""docs/troubleshooting.md has every message that Px shows, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import px
from px.cli import help_text
from px.cli.completion import bash, fish, powershell, zsh
from px.cli.demo import story as story_module
from px.cli.demo import upstream
from px.cli.env import files, shells, tools
from px.config import actions, login_options, process_options, request_options
from px.config.imports import alpaca, cntlm, cntlm_access, cntlm_hashes, environment, original_px, winfoom
from px.core.http import own_answer
from px.core.rules import own_pac
from px.downstream.pages import metrics
from scripts import options_document
from tests.markdown import ROOT
from tests.shown_messages import (
    Shown,
    find_entries,
    find_messages,
    find_quoted_in_tables,
    find_unlike,
    words_of,
)

PACKAGE = Path(px.__file__).parent

#: Modules whose texts are not messages: help, docs/options.md, the demo, settings for programs, scripts for
#: shells, a page, a PAC script, metrics (docs/monitoring.md), and the tables of --import, which
#: docs/coming-from-others.md has.
OTHER_TEXTS = frozenset(
    Path(str(module.__file__))
    for module in (
        actions,
        story_module,
        upstream,
        help_text,
        request_options,
        login_options,
        process_options,
        options_document,
        own_answer,
        own_pac,
        metrics,
        alpaca,
        cntlm,
        cntlm_access,
        cntlm_hashes,
        environment,
        original_px,
        winfoom,
        files,
        shells,
        tools,
        bash,
        fish,
        powershell,
        zsh,
    )
)

#: Texts that look like a message but are not, and their use.
NO_MESSAGES = {
    "time client user method target status up down ms first_ms route login 407s connection end id": "columns",
    ", logged in by ...": "the debug log, docs/logs.md",
    "does not take ...": "the debug log, docs/logs.md",
    "the upstream let ... in by ...": "the debug log, docs/logs.md",
    "ended after ...: ... bytes up, ... down": "the debug log, docs/logs.md",
    "Px ..., Python ... on ...": "the debug log, its first line",
    "%(asctime)s.%(msecs)03d %(levelname)-7s [%(process)d%(request)s] %(name)s: %(message)s": "its form",
    "the line has no end": "caught where processes of Px speak to each other",
    "nested too deeply": "caught where processes of Px speak to each other",
    "not an object": "caught where processes of Px speak to each other",
    "Windows has no Unix sockets": "caught, another kind of socket is taken",
    "... ... HTTP/1.1 Host: ...": "a request",
    "application/x-ns-proxy-autoconfig, */*;q=0.8": "a field of a request",
    "delete globalThis.px_load; delete globalThis.px_find": "JavaScript",
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep); from px.cli.main import main": "Python",
    "# Made by px --install; px --uninstall removes it.": "a comment in a file",
    "HKEY_CURRENT_USER\\..., ...": "a place, in a message",
    "PX_NTHASH or nthash": "a place, in a message",
    "the Secret Service (GNOME Keyring, KWallet)": "a place, in a message",
    "the Windows Credential Manager": "a place, in a message",
    "the logged-in user": "a user, in a message",
    "The Kerberos KDC": "a server, in a message",
    "user and password of SOCKS5": "a login, in a message",
    "goes on with ...": "a step, in a line of the debug log",
    "%Y-%m-... %H:%M:%S": "a form of time",
    "Decrypt integrity check failed": "what the Kerberos library says, compared",
    "Proxy Config Script": "a key of KDE",
    "macOS network settings": "a place, in a message",
    "Windows Internet Options": "a place, in a message",
    "the proxy server": "a place, in a message",
    "the list of exceptions": "a place, in a message",
}


def find_shown(package: Path = PACKAGE) -> Iterator[Shown]:
    for path in sorted(package.rglob("*.py")):
        if path not in OTHER_TEXTS:
            for shown in find_messages(path, path.relative_to(package.parent).as_posix()):
                if "[Unit]" not in shown.text:  # a systemd directive, in one text with a message
                    yield shown


@pytest.fixture(scope="module")
def messages() -> list[Shown]:
    return list(find_shown())


@pytest.fixture(scope="module")
def document() -> str:
    return (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def test_the_document_has_every_message(messages, document):
    missing = find_unlike([shown.text for shown in messages], [*find_entries(document), *NO_MESSAGES])
    places = [f"{place}: {text}" for text, place in messages if text in missing]
    assert not places, "\n".join(places)


def test_every_message_in_the_document_is_in_the_code(messages, document):
    quoted = [each for each in find_quoted_in_tables(document) if len(words_of(each)) >= 5]
    assert len(quoted) > 200
    assert find_unlike(quoted, [shown.text for shown in messages]) == []


def test_every_excused_text_is_in_the_code(messages):
    assert find_unlike(NO_MESSAGES, [shown.text for shown in messages]) == []


SOURCE = '''
"""A module that says things."""
import logging

class Thing:
    """A thing that is documented."""

    def __repr__(self) -> str:
        return f"<Thing that is not shown {self}>"

def do(name: str, is_new: bool) -> None:
    logging.debug("nobody sees this line")
    logging.warning("%s went out of order", name)
    raise ValueError(f"{name} cannot be opened{'; it is too new' if is_new else ''}")
'''


def test_messages_are_found_in_code(tmp_path):
    path = tmp_path / "things.py"
    path.write_text(SOURCE, encoding="utf-8")
    found = [shown.text for shown in find_messages(path, "things.py")]
    assert found == ["... went out of order", "... cannot be opened...", "; it is too new"]


def test_a_different_word_is_accepted_and_a_different_message_is_not():
    entries = ["The upstream ... cannot be reached: ...", "port ... on ... is in use by Px, pid ..."]
    assert find_unlike(["The proxy ... cannot be reached: ..."], entries) == []
    assert find_unlike(["port ... may not be used by this user"], entries) != []

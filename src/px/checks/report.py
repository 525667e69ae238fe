"""The report that a person can hand to a help desk: steps and settings, without secrets."""

from __future__ import annotations

import json
import platform
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from px import __version__
from px.checks.proxy_url import split_login
from px.checks.step import Step, format_step
from px.core.rules.pac_location import shorten_location
from px.core.secret import Secret

if TYPE_CHECKING:
    from px.config.settings import Settings

_WIDTH: Final = 80
_HIDDEN: Final = "***"
_VARIABLES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "krb5_config", "krb5ccname")
_HEAD: Final = """\
A report by px --doctor --report.

It holds no password, no hash of one and no login token. It does hold names of
users and hosts, addresses and paths: look through it before you hand it on.
"""


def format_report(
    steps: Sequence[Step], settings: Settings, environ: Mapping[str, str], status: Mapping[str, Any] | None
) -> str:
    """Return the report.

    Args:
        steps: What the doctor has found.
        settings: The settings of Px; secrets among them are hidden, wherever they turn up.
        environ: The environment; only variables about proxies and Kerberos are shown.
        status: The status of the running Px; None: none runs.
    """
    hide = partial(hide_secrets, secrets=[*find_secrets(settings), *_find_in_variables(environ)])
    sections = {
        "Versions": [f"Px {__version__}, Python {platform.python_version()}, {platform.platform()}"],
        "Steps": [line for step in steps for line in format_step(_hide_in(step, hide), _WIDTH)],
        "Settings": [f"{field.name} = {_show(field.name, settings)}" for field in fields(settings)],
        "Environment": list(_show_variables(environ)),
        "Status": [json.dumps(status, indent=2) if status is not None else "no Px runs on this port"],
    }
    text = "".join(f"\n{name}\n\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
    return _HEAD + hide(text)


def _hide_in(step: Step, hide: Callable[[str], str]) -> Step:
    """Return a step without secrets; afterwards a line may break inside a secret."""
    return replace(step, detail=hide(step.detail), fix=hide(step.fix))


def _show(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if name == "pac":
        return shorten_location(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _show_variables(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(environ.items()):
        if name.lower() in _VARIABLES:
            scheme, login, place = split_login(value)
            yield f"{name} = {scheme}{_HIDDEN}@{place}" if login else f"{name} = {value}"


def _find_in_variables(environ: Mapping[str, str]) -> Iterator[Secret]:
    """Yield the passwords of upstreams that the environment names."""
    for name, value in environ.items():
        if name.lower() in _VARIABLES:
            login = split_login(value)[1]
            yield from _find_forms(*map(unquote, login.partition(":")[::2]))


def find_secrets(settings: Settings) -> Iterator[Secret]:
    """Yield all secrets of the settings, and the credentials of Basic that are made of them."""
    logins = [
        (settings.username, settings.password),
        ("", settings.nthash),
        (settings.client_username, settings.client_password),
        *((upstream.username, upstream.password) for upstream in settings.proxy),
    ]
    for username, secret in logins:
        if secret:
            yield from _find_forms(username, secret.reveal())


def _find_forms(username: str, password: str) -> Iterator[Secret]:
    if password:
        yield Secret(b64encode(f"{username}:{password}".encode("utf-8", "surrogateescape")).decode("ascii"))
        yield Secret(password)


def hide_secrets(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text in which no secret is left, not even percent-encoded or as JSON writes it."""
    for secret in secrets:
        plain = secret.reveal()
        encoded = plain.encode("utf-8", "surrogateescape")
        for form in (plain, quote(encoded), quote(encoded, safe=""), json.dumps(plain)[1:-1]):
            text = text.replace(form, _HIDDEN)
    return text

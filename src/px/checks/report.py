"""The report that a person can hand to a help desk: steps and settings, without secrets."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from px import __version__
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
    sections = {
        "Versions": [f"Px {__version__}, Python {platform.python_version()}, {platform.platform()}"],
        "Steps": [line for step in steps for line in format_step(step, _WIDTH)],
        "Settings": [f"{field.name} = {_show(field.name, settings)}" for field in fields(settings)],
        "Environment": list(_show_variables(environ)),
        "Status": [json.dumps(status, indent=2) if status is not None else "no Px runs on this port"],
    }
    text = _HEAD + "".join(f"\n{name}\n\n" + "\n".join(lines) + "\n" for name, lines in sections.items())
    return hide_secrets(text, find_secrets(settings))


def _show(name: str, settings: Settings) -> str:
    value = getattr(settings, name)
    if name == "pac":
        return shorten_location(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _show_variables(environ: Mapping[str, str]) -> Iterator[str]:
    for name, value in sorted(environ.items()):
        if name.lower() in _VARIABLES:
            yield f"{name} = {_hide_login(value)}"


def _hide_login(value: str) -> str:
    """Return the URL of a proxy without a user and password."""
    if "@" not in value:
        return value
    try:
        url = urlsplit(value if "://" in value else f"//{value}")
    except ValueError:
        return _HIDDEN
    return url._replace(netloc=f"{_HIDDEN}@{url.netloc.rpartition('@')[2]}").geturl()


def find_secrets(settings: Settings) -> Iterator[Secret]:
    """Yield all secrets of the settings."""
    for each in (settings.password, settings.nthash, settings.client_password):
        if each:
            yield each
    yield from (upstream.password for upstream in settings.proxy if upstream.password)


def hide_secrets(text: str, secrets: Iterable[Secret]) -> str:
    """Return a text in which no secret is left, not even percent-encoded."""
    for secret in secrets:
        plain = secret.reveal()
        for form in (plain, quote(plain), quote(plain, safe="")):
            text = text.replace(form, _HIDDEN)
    return text

"""Proxy settings in the environment, as curl and Python read them.

``http_proxy`` and ``https_proxy`` are for the URLs of their scheme, ``all_proxy`` for the others,
``no_proxy`` says what is reached directly. Lower case comes first; an empty value is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from px.core.proxy_settings import ProxySettings
from px.system.settings_draft import IsPxItself, SettingsDraft, split_entries

#: Variables that name an upstream -> scheme of the URLs it is for, empty: of every other.
SCHEMES: Final = {"http_proxy": "http", "https_proxy": "https", "all_proxy": ""}


def load_environment(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings:
    """Return what the variables say."""
    draft = SettingsDraft("environment", is_px_itself)
    for variable, scheme in SCHEMES.items():
        name, value = find_variable(environ, variable)
        draft.add_upstream(scheme, value, name)
    name, value = find_variable(environ, "no_proxy")
    draft.add_bypass(split_entries(value), name)
    return draft.finish()


def find_variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return a variable's name as it is there, and its value; empty: it is not.

    ``HTTP_PROXY`` does not count in a CGI program, where it is what a client sent as ``Proxy:``.

    Args:
        environ: All variables, by their names as they are spelled (Windows spells all in upper case).
        name: In lower case.
    """
    spelled = dict(environ)
    if spelled.get(name):
        return name, spelled[name]
    is_forged = name == "http_proxy" and "REQUEST_METHOD" in spelled
    return name.upper(), "" if is_forged else spelled.get(name.upper(), "")

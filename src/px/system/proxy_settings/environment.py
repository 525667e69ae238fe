"""Reads proxy settings from the environment, as curl and Python do.

``http_proxy`` and ``https_proxy`` name the proxy for the URLs of their scheme, ``all_proxy`` the proxy for
the other URLs, and ``no_proxy`` the hosts that are reached directly. The lower-case variable wins. An empty
value counts as not set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from px.core.rules.host_rule_parser import split_rules
from px.core.rules.proxy_settings import ProxySettings
from px.system.proxy_settings.builder import IsPxItself, ProxySettingsBuilder

#: Variables that name an upstream -> scheme of the URLs that use it; empty: all other schemes.
SCHEMES: Final = {"http_proxy": "http", "https_proxy": "https", "all_proxy": ""}


def load_environment(environ: Mapping[str, str], is_px_itself: IsPxItself) -> ProxySettings:
    """Return the settings in the variables."""
    builder = ProxySettingsBuilder("environment", is_px_itself)
    for variable, scheme in SCHEMES.items():
        name, value = find_variable(environ, variable)
        builder.add_upstream(scheme, value, name)
    name, value = find_variable(environ, "no_proxy")
    builder.add_bypass(split_rules(value), name)
    return builder.finish()


def find_variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the name of a variable as it is spelled, and its value; empty if it is not set.

    ``HTTP_PROXY`` does not count in a CGI program, where it holds what a client sent as ``Proxy:``.

    Args:
        environ: All variables; Windows spells all names in upper case.
        name: The name in lower case.
    """
    spelled = dict(environ)
    if spelled.get(name):
        return name, spelled[name]
    is_forged = name == "http_proxy" and "REQUEST_METHOD" in spelled
    return name.upper(), "" if is_forged else spelled.get(name.upper(), "")

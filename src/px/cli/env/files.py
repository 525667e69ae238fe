"""Programs that read their settings from a file: the lines are a file, or a part of one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from xml.sax.saxutils import escape

from px.cli.env.endpoint import PASSWORD, USER, ProxyValues, make_variables
from px.cli.env.kind import Kind

#: The name by which containers reach this computer.
_DOCKER_HOST: Final = "host.docker.internal"
_BITS_OF_A_BYTE: Final = 8
#: Lines around those of Px in a file that has other settings too.
_BEGIN, _END = "# px begins", "# px ends"


def _write_docker(values: ProxyValues) -> Iterator[str]:
    pulls = {"http-proxy": values.url, "https-proxy": values.url, "no-proxy": values.no_proxy_list}
    url = values.url_at(f"{_DOCKER_HOST}:{values.port}")
    runs = {"httpProxy": url, "httpsProxy": url, "noProxy": values.no_proxy_list}
    yield "# How Docker pulls images: /etc/docker/daemon.json, then restart the daemon (not Docker Desktop:"
    yield "# it has its own settings for that)"
    yield json.dumps({"proxies": pulls}, indent=2)
    yield "# What builds and containers get: ~/.docker/config.json. This computer is another one to them, so"
    yield "# Px needs --hostonly or --gateway, and on Linux docker run needs"
    yield f"# --add-host={_DOCKER_HOST}:host-gateway"
    yield json.dumps({"proxies": {"default": runs}}, indent=2)


def _remove_docker() -> Iterator[str]:
    yield '# Remove "proxies" from /etc/docker/daemon.json, then restart the daemon.'
    yield '# Remove "default" below "proxies" from ~/.docker/config.json.'


def _write_container(values: ProxyValues) -> Iterator[str]:
    url = values.url_at(f"{_DOCKER_HOST}:{values.port}")
    for name, value in make_variables(url, values.no_proxy_list).items():
        yield f"{name}={value}"
    yield f"# to use it: {values.command('container')} > px.env, then"
    yield f"# docker run --env-file=px.env --add-host={_DOCKER_HOST}:host-gateway IMAGE"


def _remove_container() -> Iterator[str]:
    yield "# Start the container without --env-file=px.env."


def _write_apt(values: ProxyValues) -> Iterator[str]:
    direct = [target for target in values.no_proxy if not {":", "/"} & {*target} and target[0] != "."]
    for scheme in ("http", "https"):
        yield f'Acquire::{scheme}::Proxy "{values.url}";'
        yield from (f'Acquire::{scheme}::Proxy::{target} "DIRECT";' for target in direct)
    yield f"// to use it: {values.command('apt')} | sudo tee /etc/apt/apt.conf.d/80px"


def _remove_apt() -> Iterator[str]:
    yield "sudo rm -f /etc/apt/apt.conf.d/80px"


def _write_wget(values: ProxyValues) -> Iterator[str]:
    yield _BEGIN
    yield "use_proxy = on"
    yield f"http_proxy = {values.url}"
    yield f"https_proxy = {values.url}"
    yield f"no_proxy = {values.no_proxy_list}"
    yield f"# to use it: {values.command('wget')} >> ~/.wgetrc"
    yield _END


def _write_gradle(values: ProxyValues) -> Iterator[str]:
    yield _BEGIN
    for scheme in ("http", "https"):
        yield f"systemProp.{scheme}.proxyHost={values.host}"
        yield f"systemProp.{scheme}.proxyPort={values.port}"
        yield f"systemProp.{scheme}.nonProxyHosts={_format_for_java(values.no_proxy)}"
        if values.login:
            yield f"systemProp.{scheme}.proxyUser={USER}"
            yield f"systemProp.{scheme}.proxyPassword={PASSWORD}"
    if values.login:  # by default Java does not log in for https
        yield "systemProp.jdk.http.auth.tunneling.disabledSchemes="
    yield f"# to use it: {values.command('gradle')} >> ~/.gradle/gradle.properties"
    yield _END


def _remove_from(file: str) -> Iterator[str]:
    yield f"sed -i.bak '/^{_BEGIN}/,/^{_END}/d' {file}"


def _write_maven(values: ProxyValues) -> Iterator[str]:
    yield "<settings>"
    yield "  <!-- to use it: ~/.m2/settings.xml; if the file exists, add the <proxy> entries -->"
    yield "  <proxies>"
    for scheme in ("http", "https"):
        yield "    <proxy>"
        yield from (f"      <{name}>{escape(text)}</{name}>" for name, text in _maven_proxy(scheme, values))
        yield "    </proxy>"
    yield "  </proxies>"
    yield "</settings>"


def _maven_proxy(scheme: str, values: ProxyValues) -> Iterable[tuple[str, str]]:
    login = (("username", USER), ("password", PASSWORD)) if values.login else ()
    return (
        ("id", f"px-{scheme}"),
        ("active", "true"),
        ("protocol", scheme),
        ("host", values.host),
        ("port", str(values.port)),
        *login,
        ("nonProxyHosts", _format_for_java(values.no_proxy)),
    )


def _remove_maven() -> Iterator[str]:
    yield "<!-- Remove the <proxy> entries px-http and px-https from ~/.m2/settings.xml. -->"


def _write_vscode(values: ProxyValues) -> Iterator[str]:
    yield "// to use it: add these lines to settings.json (Preferences: Open User Settings (JSON))"
    yield json.dumps({"http.proxy": values.url, "http.noProxy": list(values.no_proxy)}, indent=2)


def _remove_vscode() -> Iterator[str]:
    yield "// Remove http.proxy and http.noProxy from settings.json."


def _format_for_java(no_proxy: Iterable[str]) -> str:
    """Return what ``http.nonProxyHosts`` takes: whole hosts, a star at their beginning or end, ``|``."""
    return "|".join(pattern for target in no_proxy for pattern in _java_patterns(target))


def _java_patterns(target: str) -> Iterable[str]:
    try:
        network = ip_network(target)
    except ValueError:  # a name
        return [f"*{target}"] if target.startswith(".") else [target, f"*.{target}"]
    if network.num_addresses == 1:
        address = network.network_address
        return [str(address) if isinstance(network, IPv4Network) else f"[{address}]"]
    return _java_networks(network)


def _java_networks(network: IPv4Network | IPv6Network) -> Iterable[str]:
    """Return patterns for an IPv4 network; none for IPv6, which Java cannot express."""
    if isinstance(network, IPv6Network):
        return []
    size = -(-max(network.prefixlen, 1) // _BITS_OF_A_BYTE)
    parts = network.subnets(new_prefix=size * _BITS_OF_A_BYTE)
    return [_java_glob(str(part.network_address), size) for part in parts]


def _java_glob(address: str, size: int) -> str:
    groups = address.split(".")
    return address if size == len(groups) else ".".join([*groups[:size], "*"])


def _remove_wget() -> Iterator[str]:
    return _remove_from("~/.wgetrc")


def _remove_gradle() -> Iterator[str]:
    return _remove_from("~/.gradle/gradle.properties")


FILES: Final = {
    "docker": Kind(_write_docker, _remove_docker, is_elsewhere=True),
    "container": Kind(_write_container, _remove_container, is_elsewhere=True),
    "apt": Kind(_write_apt, _remove_apt),
    "wget": Kind(_write_wget, _remove_wget),
    "maven": Kind(_write_maven, _remove_maven),
    "gradle": Kind(_write_gradle, _remove_gradle),
    "vscode": Kind(_write_vscode, _remove_vscode),
}

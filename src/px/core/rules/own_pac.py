"""Writes the PAC script that ``/proxy.pac`` serves: Px as the proxy, and `noproxy` as far as PAC can say it.

A PAC script sees the URL and the host as written. Rules about the addresses of a name would need look-ups by
the browser, which would wait for each. So the script sends such names to Px, and networks of IPv6 as well:
Px applies these rules itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from px.core.http.target import DEFAULT_PORTS
from px.core.rules.host_rule_parser import Ports
from px.core.rules.host_rules import HostRules

# ECMAScript 3: Windows runs PAC scripts with JScript.
_SCRIPT: Final = r"""// Made by Px, from its address and noproxy.
var PROXY = %(proxy)s;
var EVERYTHING = %(everything)s, DOTLESS = %(dotless)s, LOCAL = %(local)s;
var HOSTS = %(hosts)s;
var DOMAINS = %(domains)s;
var GLOBS = %(globs)s;
var NETWORKS = %(networks)s;
var PORTS = %(ports)s;

function has(rules, name, port) {
  if (!Object.prototype.hasOwnProperty.call(rules, name)) return false;
  return hasPort(rules[name], port);
}

function hasPort(ports, port) {
  if (ports === null) return true;
  for (var i = 0; i < ports.length; i++) if (ports[i] === port) return true;
  return false;
}

function portOf(url) {
  var found = /^([a-z][a-z0-9+.-]*):\/\/(?:[^\/?#@]*@)?(?:\[[^\]]*\]|[^\/?#:]*)(?::(\d+))?/i.exec(url);
  if (!found) return 0;
  return found[2] ? Number(found[2]) : PORTS[found[1].toLowerCase()] || 0;
}

function toNumber(host) {
  var parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host);
  if (!parts) return -1;
  return ((Number(parts[1]) * 256 + Number(parts[2])) * 256 + Number(parts[3])) * 256 + Number(parts[4]);
}

function isLoopback(host, number) {
  return host === "::1" || (number >= 2130706432 && number <= 2147483647);
}

function isLocal(host, number) {
  return isLoopback(host, number) || /(^|\.)localhost$/.test(host)
    || (number >= 2851995648 && number <= 2852061183) || /^fe[89ab][0-9a-f]:/.test(host);
}

function isDirect(host, port) {
  var number = toNumber(host), i, rest;
  if (EVERYTHING || (LOCAL && isLocal(host, number)) || has(HOSTS, host, port)) return true;
  if (DOTLESS && isLoopback(host, number)) return true;
  if (number >= 0) {
    for (i = 0; i < NETWORKS.length; i++) {
      if (number >= NETWORKS[i][0] && number <= NETWORKS[i][1]) return true;
    }
    return false;
  }
  if (host.indexOf(":") >= 0) return false;
  if (DOTLESS && host.indexOf(".") < 0) return true;
  for (rest = host; (i = rest.indexOf(".")) >= 0;) {
    rest = rest.substring(i + 1);
    if (has(DOMAINS, rest, port)) return true;
  }
  for (i = 0; i < GLOBS.length; i++) {
    if (hasPort(GLOBS[i][1], port) && new RegExp("^(?:" + GLOBS[i][0] + ")$").test(host)) return true;
  }
  return false;
}

function FindProxyForURL(url, host) {
  var name = host.toLowerCase().replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return isDirect(name, portOf(url)) ? "DIRECT" : PROXY;
}
"""


def format_own_pac(rules: HostRules, proxy: str) -> str:
    """Return the PAC script of a Px, in ASCII.

    Args:
        rules: The `noproxy` of Px. Loopback and link-local targets are direct, too, unless ``<-loopback>`` is
            among the rules, as for the clients of Px.
        proxy: ``host:port`` of Px for the client that asks; IPv6 in brackets.
    """
    values: dict[str, object] = {
        "proxy": f"PROXY {proxy}",
        "everything": rules.matches_everything,
        "dotless": rules.is_local_included,
        "local": not rules.subtracts_loopback,
        "hosts": _list_ports(rules.hosts),
        "domains": _list_ports(rules.domains),
        "globs": [[glob.pattern, _sort(ports)] for glob, ports in rules.globs],
        "networks": list(zip(rules.ipv4.starts, rules.ipv4.ends, strict=True)),
        "ports": {scheme.decode("ascii"): port for scheme, port in DEFAULT_PORTS.items()},
    }
    return _SCRIPT % {name: json.dumps(value) for name, value in values.items()}


def _list_ports(rules: Mapping[str, Ports]) -> dict[str, list[int] | None]:
    return {name: _sort(ports) for name, ports in rules.items()}


def _sort(ports: Ports) -> list[int] | None:
    return None if ports is None else sorted(ports)

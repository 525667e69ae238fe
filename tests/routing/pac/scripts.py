"""Writes PAC scripts like those of companies: grown over years, by several authors, also for old browsers."""

from __future__ import annotations

import random
from collections.abc import Callable

#: Texts for comments; characters outside the encoding of the file are left out.
_REMARKS = (
    "Ausnahmen für Zürich",
    "règles du siège",
    "Zażółć",
    "do not touch!!! (tom, 2009)",
    "€ Kasse",
    "-->",
)
_DOMAINS = (
    "corp.example",
    "example.com",
    "intra.example",
    "a.example.net",
    "cdn.example.org",
    "xn--bcher-kva.example",
)
_NAMES = ("www", "mail", "sap-p01", "vpn2", "build", "wpad", "x")
_NETWORKS = (
    ("10.0.0.0", "255.0.0.0"),
    ("172.16.0.0", "255.240.0.0"),
    ("192.168.0.0", "255.255.0.0"),
    ("192.0.2.0", "255.255.255.128"),
    ("198.51.100.7", "255.255.255.255"),
)
_PROXIES = ("proxy1.corp.example:8080", "proxy2.corp.example:3128", "10.1.2.3:80", "gw:8000")
#: Helpers, placed before or after the entry function, since browsers hoist functions and variables.
_HELPERS = """
var proxies = PROXIES, domains = DOMAINS, table = new Object();
for (var i = 0; i < domains.length; i++) table[domains[i]] = proxies[i % proxies.length];
function pick(n) { if (n >= proxies.length) n = n % proxies.length; return "PROXY " + proxies[n]; }
function debug(text) { if (typeof debugging != "undefined" && debugging) alert(text) }
function hash(text) {
  var sum = 0;
  for (var i = 0; i < text.length; i++) { sum = (sum * 31 + text.charCodeAt(i)) & 0xffff }
  return sum
}
function listed(host, list) {
  for (var key in list) if (host == list[key] || dnsDomainIs(host, "." + list[key])) return true;
  return false;
}
function baseDomain(host) { return host.split(".").slice(-2).join("."); }
String.prototype.endsIn = function (end) { return this.substr(this.length - end.length) == end };"""
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1")


class Writer:
    """Writes one script.

    Args:
        seed: The same seed gives the same script.
    """

    def __init__(self, seed: int) -> None:
        self._some = random.Random(seed)
        self._count = 0

    def write(self) -> str:
        """Return the script."""
        some = self._some
        parts = [self._rule() for _ in range(some.randint(3, 14))]
        hoisted = some.random() < 0.5
        main = ["function FindProxyForURL(url, host)", "{", *self._beginning(), *parts, self._answer(), "}"]
        helpers = [_HELPERS.replace("PROXIES", _list(_PROXIES)).replace("DOMAINS", _list(_DOMAINS))]
        lines = [self._remark(), *(main + helpers if hoisted else helpers + main)]
        end = some.choice(["\n", "\n", "\r\n"])
        return end.join(lines).replace("\n", end) if end == "\r\n" else end.join(lines)

    def urls(self) -> list[tuple[str, str]]:
        """Return URLs that the rules of such scripts match, each with its host."""
        some = self._some
        hosts = [self._host() for _ in range(8)]
        hosts += [f"{some.choice(_NAMES)}", "localhost.localdomain", *(self._address() for _ in range(5))]
        paths = ["/", "/index.html", "/a/b?q=1&r=*", "/download/setup.exe"]
        schemes = ["http", "https", "ftp", "ws"]
        return [(f"{some.choice(schemes)}://{host}{some.choice(paths)}", host) for host in hosts]

    # Parts

    def _beginning(self) -> list[str]:
        lines = [
            "  host = host.toLowerCase();",
            "  var h = host, u = url.toLowerCase();",
            "  var isIp = /^\\d{1,3}(\\.\\d{1,3}){3}$/.test(host);",
            "  var resolved = isIp ? dnsResolve(host) : '0.0.0.0';",
            "  var scheme = url.substring(0, url.indexOf(':')), dots = dnsDomainLevels(host);",
            "  debug('asked for ' + url);",
        ]
        return [*lines, self._remark()]

    def _rule(self) -> str:
        self._count += 1
        if self._some.random() < 0.2:
            return self._remark()
        rules: list[Callable[[], str]] = [
            self._if,
            self._else_ifs,
            self._patterns,
            self._switch,
            self._loop,
            self._with,
            self._try,
            self._shadow,
        ]
        return self._some.choice(rules)()

    def _if(self) -> str:
        join = self._some.choice([" || ", "\n      || ", " && !"])
        tests = join.join(self._test() for _ in range(self._some.randint(1, 4)))
        return f"  if ({tests})\n    {self._answer()}"

    def _else_ifs(self) -> str:
        branches = "\n  else ".join(
            f"if ({self._test()}) {{ {self._answer()} }}" for _ in range(self._some.randint(2, 30))
        )
        return f"  {branches}"

    def _patterns(self) -> str:
        lines = (
            f'shExpMatch({self._some.choice(["url", "host", "u"])}, "{self._pattern()}")' for _ in range(12)
        )
        return "  if (" + " ||\n      ".join(lines) + f") {self._answer()}"

    def _switch(self) -> str:
        cases = "".join(
            f'\n    case "{label}":{self._some.choice(["", f" {self._answer()}", " break;"])}'
            for label in self._some.sample([*_DOMAINS, "example.org", "http", "ftp"], 5)
        )
        subject = self._some.choice(["host", "scheme", "baseDomain(host)"])
        return f"  switch ({subject}) {{{cases}\n      break;\n    default:\n      debug('no case');\n  }}"

    def _loop(self) -> str:
        name = f"k{self._count}"
        return (
            f"  for (var {name} = domains.length - 1; {name} >= 0; {name}--) {{\n"
            f"    if (!host.endsIn(domains[{name}])) continue;\n"
            f"    if ({self._test()}) return 'PROXY ' + table[domains[{name}]];\n"
            f"    break;\n  }}"
        )

    def _with(self) -> str:
        number = self._some.randint(0, 4)
        return f"  with (Math) {{ if (abs(floor(hash(host) / 7)) % 5 == {number}) {self._answer()} }}"

    def _try(self) -> str:
        caught = "catch (e) { var failed = e.message != ''; }"
        return f"  try {{ if (noSuchFunction(host)) {self._answer()} }} {caught}"

    def _shadow(self) -> str:
        """A variable that is used before and outside of the block that declares it."""
        name = f"v{self._count}"
        declared = f"if ({name} === undefined && {self._test()}) {{ var {name} = 1 }}"
        return f"  {declared}\n  if ({name}) {self._answer()}"

    def _test(self) -> str:
        some = self._some
        network, mask = some.choice(_NETWORKS)
        tests = [
            "isPlainHostName(host)",
            f'dnsDomainIs(host, "{some.choice(["", "."])}{some.choice(_DOMAINS)}")',
            f'localHostOrDomainIs(host, "{self._host()}")',
            f'shExpMatch(host, "{self._pattern()}")',
            f'(isIp && isInNet(host, "{network}", "{mask}"))',
            f'isInNet(resolved, "{network}", "{mask}")',
            f'host == "{self._host()}"',
            f'url.substring(0, {some.randint(4, 9)}) == "{some.choice(["http:", "https:", "ftp:", "https://w"])}"',
            f'host.indexOf("{some.choice(_NAMES)}") {some.choice(["== 0", "!= -1", ">= 0"])}',
            f'url.lastIndexOf("{some.choice([".exe", "/", "?"])}") > {some.randint(0, 30)}',
            f"dots {some.choice(['>', '<', '=='])} {some.randint(0, 3)}",
            f"/^{some.choice(_NAMES)}[-\\w]*\\./i.test(host)",
            f"host.match(/{some.choice(['example', 'corp$', '(www|mail)'])}/)",
            "listed(host, domains)",
            f'host.split(".")[0].charAt(0) == "{some.choice("wmbsx")}"',
            f"(isIp && convert_addr(host) >>> 24 == {some.choice([10, 172, 192, 198])})",
            f"new Date(2009, 0, {some.randint(1, 28)}).getDay() == {some.randint(0, 6)}",
            f"parseInt(host.replace(/\\D/g, '') || '0', 10) % 2 == {some.randint(0, 1)}",
        ]
        return some.choice(tests)

    def _answer(self) -> str:
        some = self._some
        proxies = some.sample(_PROXIES, some.randint(1, 3))
        words = ("PROXY", "PROXY", "SOCKS", "HTTPS")
        listed = "; ".join(f"{some.choice(words)} {proxy}" for proxy in proxies)
        whole = [f'"{listed}"', f'"{listed}; DIRECT;"', f"'{listed}' + ';DIRECT'"]
        answers = ['"DIRECT"', *whole, "pick(hash(host))"]
        return f"return {some.choice(answers)}" + some.choice([";", ";", ""])

    def _pattern(self) -> str:
        some, domain, name = self._some, self._some.choice(_DOMAINS), self._some.choice(_NAMES)
        patterns = [
            f"*.{domain}",
            f"*{domain}*",
            f"{name}.*",
            f"{name}?.{domain}",
            f"http://{name}.{domain}/*",
            f"*://*.{domain}:*/*",
            f"({name}|*.{domain})",
            f"{name}|*.{domain}",
            f"*.{domain}|",
            f"{name}[0-9]*.{domain}",
            f"[^w]*.{domain}",
            "10.*",
            "192.168.*.*",
            "*/download/*",
            "*.exe",
            f"*{name}*.{domain}/*?*",
            f"{domain}.",
        ]
        return some.choice(patterns)

    def _host(self) -> str:
        return f"{self._some.choice(_NAMES)}.{self._some.choice(_DOMAINS)}"

    def _address(self) -> str:
        network, _ = self._some.choice(_NETWORKS)
        return f"{network.rpartition('.')[0]}.{self._some.randint(0, 255)}"

    def _remark(self) -> str:
        text = self._some.choice(_REMARKS)
        return self._some.choice([f"// {text}", f"/* {text}\n   {text} */", f"  //----- {text} -----//", ""])


def _list(texts: tuple[str, ...]) -> str:
    return "new Array(" + ", ".join(f'"{text}"' for text in texts) + ")"

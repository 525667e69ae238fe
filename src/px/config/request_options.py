"""The options that decide where requests go, and which clients Px serves."""

from __future__ import annotations

from functools import partial
from typing import Final

from px.config.option import Option
from px.config.values import (
    parse_allow,
    parse_boolean,
    parse_encoding,
    parse_integer,
    parse_listen,
    parse_pac,
    parse_port,
    parse_printable,
    parse_text,
)
from px.core.host import MAX_PORT
from px.core.rules.host_rules import HostRules
from px.core.rules.pac_location import hide_query
from px.core.rules.route import parse_upstreams
from px.core.rules.tunnel_list import parse_tunnels

PROXY: Final = "Proxy"
ACCESS: Final = "Access"

REQUEST_OPTIONS: Final = (
    Option(
        name="config",
        group=PROXY,
        key="config",
        metavar="FILE",
        valid="the path of an existing file",
        help="File to read the configuration from. By default Px uses the first px.ini that it finds: in "
        "the working directory, in your configuration directory, beside the executable.",
        parse=parse_text,
        is_path=True,
    ),
    Option(
        name="proxy",
        group=PROXY,
        section="proxy",
        key="server",
        metavar="LIST",
        valid="a comma separated list of [http://|https://|socks5://|socks4://]host[:port]",
        help="Upstream proxies, separated by commas. Each is [scheme://]host[:port] with the scheme http "
        "(the default, port 80), https (port 443), socks5 or socks4 (port 1080); write an IPv6 address in "
        "brackets. Px uses the first one that works and stays with it until it fails. The form of Windows "
        "works too: http=host:port;https=host:port names an upstream for each kind of URL, and Px connects "
        "directly for a kind that is not named. In px.ini or the environment, user:password@ before the "
        "host is the login for that upstream alone. A SOCKS upstream gets no other login.",
        parse=parse_upstreams,
        parse_flag=partial(parse_upstreams, with_identity=False),
        hides=lambda text: "@" in text,
        aliases=("server",),
    ),
    Option(
        name="pac",
        group=PROXY,
        section="proxy",
        key="pac",
        metavar="PLACE",
        valid="the path of an existing file, or a file:, http:, https: or data: URL",
        help="PAC script that names the upstreams if --proxy names none: a path, relative to the working "
        "directory, or a file:, http:, https: or data: URL. Px reads the script again every --proxyreload "
        "seconds and when the network changes.",
        parse=parse_pac,
        is_path=True,
        hides=lambda text: "@" in text,
        show=hide_query,
    ),
    Option(
        name="pac_encoding",
        group=PROXY,
        section="proxy",
        key="pac_encoding",
        default="auto",
        metavar="NAME",
        valid="auto, or the name of a character encoding such as utf-8 or cp1252",
        help="Character encoding of PAC scripts. auto: the encoding that the web server or a byte order "
        "mark names, else the first that fits of UTF-8, cp1252 and latin-1.",
        parse=parse_encoding,
        choices=("auto", "utf-8", "cp1252", "latin-1"),
    ),
    Option(
        name="listen",
        group=ACCESS,
        section="proxy",
        key="listen",
        default="localhost",
        metavar="LIST",
        valid="a comma separated list of IP addresses or names of this computer, or *",
        help="Addresses of this computer to listen on, separated by commas. Both IPv4 and IPv6 are "
        "possible. A name stands for all its addresses. localhost, the default, is 127.0.0.1, and ::1 where "
        "Px can listen there and --allow admits it. 0.0.0.0 is every IPv4 address, :: every IPv6 address, * "
        "every address.",
        parse=parse_listen,
    ),
    Option(
        name="port",
        group=ACCESS,
        section="proxy",
        key="port",
        default="3128",
        metavar="PORT",
        valid=f"a port number, 1 to {MAX_PORT}",
        help="Port to listen on.",
        parse=partial(parse_integer, low=1, high=MAX_PORT),
    ),
    Option(
        name="socks",
        group=ACCESS,
        section="proxy",
        key="socks",
        metavar="PORT",
        valid=f"a port number, 1 to {MAX_PORT}",
        help="Port for SOCKS5 clients, in addition to --port. The same addresses, access rules and "
        "upstreams count as for HTTP clients. With --client_auth they log in with a user name and password, "
        "which SOCKS5 sends unencrypted, so Px does not start if --client_auth does not allow BASIC.",
        parse=parse_port,
    ),
    Option(
        name="tunnel",
        group=ACCESS,
        section="proxy",
        key="tunnel",
        metavar="LPORT:HOST:PORT",
        valid="a comma separated list of LPORT:HOST:PORT",
        help="Static tunnel, for programs that know no proxy: what connects to the port LPORT of Px is "
        "connected to the port PORT of HOST, through the upstream. Several tunnels are separated by commas, "
        "or given by one option each. The clients of a tunnel cannot log in, so Px does not start if "
        "--client_auth is given, too.",
        parse=parse_tunnels,
        is_repeatable=True,
    ),
    Option(
        name="gateway",
        group=ACCESS,
        section="proxy",
        key="gateway",
        default="0",
        valid="0 or 1",
        help="Let other computers use Px. Px then listens on all interfaces, IPv4 and IPv6, and ignores "
        "--listen. Every computer that uses Px uses your login: limit them with --allow.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="hostonly",
        group=ACCESS,
        section="proxy",
        key="hostonly",
        default="0",
        valid="0 or 1",
        help="Let containers and virtual machines on this computer use Px: those that appear with an address "
        "of this computer (NAT). Px then listens on all interfaces, admits only this computer's own "
        "addresses and ignores --allow. With --gateway, Px admits these addresses and those of --allow.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="allow",
        group=ACCESS,
        section="proxy",
        key="allow",
        default="*.*.*.*",
        metavar="LIST",
        valid="addresses (10.1.2.3), globs (10.1.*.*), ranges (10.1.2.1-10.1.2.9), networks (10.0.0.0/8)",
        help="Clients that may use Px: addresses (127.0.0.1), globs (192.168.0.*), ranges "
        "(192.168.0.1-192.168.0.255), networks (192.168.0.1/24), IPv4 and IPv6. *.*.*.* is every client, "
        "also over IPv6.",
        parse=parse_allow,
        is_empty_meant=True,
    ),
    Option(
        name="noproxy",
        group=PROXY,
        section="proxy",
        key="noproxy",
        metavar="LIST",
        valid="addresses, globs, ranges, networks; host, .domain, *.domain, host:port, <local>, *",
        help="Targets to connect to directly, without an upstream, separated by comma, semicolon or space: "
        "the forms of --allow; host or .domain (this name and every name below it); *.domain (only names "
        "below it); host:port; <local> (names without a dot, and loopback addresses); * or 0.0.0.0/0 "
        "(everything). <-loopback> is the opposite: also ask the PAC script, the system or the environment "
        "about local targets. Px leaves out entries that it cannot read and warns about them. If --noproxy "
        "is given and no upstream is known, Px connects to the matching targets and refuses all others.",
        parse=HostRules.parse_readable,
    ),
    Option(
        name="useragent",
        group=PROXY,
        section="proxy",
        key="useragent",
        metavar="TEXT",
        valid="printable ASCII characters",
        help="User-Agent field to send instead of the client's own.",
        parse=parse_printable,
    ),
    Option(
        name="via",
        group=PROXY,
        section="proxy",
        key="via",
        default="1",
        valid="0 or 1",
        help="Add a Via field to requests and responses. --via=0 leaves the field out.",
        parse=parse_boolean,
        is_boolean=True,
    ),
)

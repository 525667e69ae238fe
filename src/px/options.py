"""The one table of options; that of actions is `px.actions`.

The command line, the environment, ``.env``, px.ini, ``--help`` and docs/options.md are all made from
`OPTIONS` and `ACTIONS`; an option's name is its flag, its key in px.ini and its field in
`px.config.Settings`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from px.core.host import MAX_PORT
from px.core.hostrules import HostRules
from px.core.route import parse_upstreams
from px.option import Option
from px.option_values import (
    parse_allow,
    parse_auth,
    parse_boolean,
    parse_encoding,
    parse_integer,
    parse_listen,
    parse_nthash,
    parse_pac,
    parse_printable,
    parse_seconds,
    parse_secret,
    parse_text,
    parse_username,
    parse_workstation,
)

MAX_LOG: Final = 5
MAX_RELOAD_SECONDS: Final = 86400
MAX_THREADS: Final = 1000
MAX_WORKERS: Final = 64

PROXY: Final = "Proxy"
ACCESS: Final = "Access"
LOGIN: Final = "Login"
CLIENT: Final = "Login of clients"
SETTINGS: Final = "Settings"
LOGGING: Final = "Logging"
GROUPS: Final = (PROXY, ACCESS, LOGIN, CLIENT, SETTINGS, LOGGING)

OPTIONS: Final = (
    Option(
        name="config",
        group=PROXY,
        key="config",
        metavar="FILE",
        valid="the path of an existing file",
        help="File to read the configuration from. By default the first px.ini found: in the working "
        "directory, in your configuration directory, beside the executable.",
        parse=parse_text,
    ),
    Option(
        name="proxy",
        group=PROXY,
        section="proxy",
        key="server",
        metavar="LIST",
        valid="a comma separated list of [http://|https://|socks5://|socks4://]host[:port]",
        help="Upstream proxies, comma separated: [scheme://]host[:port], scheme http (the default, "
        "port 80), https (port 443), socks5 or socks4 (port 1080), an IPv6 address in brackets. Used in "
        "order: the first that works, then stay with it. In px.ini or the environment user:password@ before "
        "the host is that upstream's own login, the only one that a SOCKS upstream gets.",
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
        help="PAC script that names the upstreams, where --proxy names none: a path (a relative one counts "
        "from the working directory), or a file:, http:, https: or data: URL. Read again every --proxyreload "
        "seconds and when the network changes.",
        parse=parse_pac,
        hides=lambda text: "@" in text,
    ),
    Option(
        name="pac_encoding",
        group=PROXY,
        section="proxy",
        key="pac_encoding",
        default="auto",
        metavar="NAME",
        valid="auto, or the name of a character encoding such as utf-8 or cp1252",
        help="Character encoding of PAC scripts. auto: as the web server says, else by a byte order mark, "
        "UTF-8, cp1252, latin-1.",
        parse=parse_encoding,
    ),
    Option(
        name="listen",
        group=ACCESS,
        section="proxy",
        key="listen",
        default="127.0.0.1",
        metavar="LIST",
        valid="a comma separated list of IP addresses",
        help="Addresses of this machine to listen on, comma separated, IPv4 and IPv6.",
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
        name="gateway",
        group=ACCESS,
        section="proxy",
        key="gateway",
        default="0",
        valid="0 or 1",
        help="Let other computers use Px: listen on all interfaces, IPv4 and IPv6, whatever --listen says. "
        "Each of them uses your login; --allow says which may.",
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
        help="Let containers and virtual machines use Px: those that appear under an address of this "
        "computer (NAT). Listen on all interfaces, for this computer's own addresses only, whatever --allow "
        "says. With --gateway, for those and for --allow.",
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
        "(192.168.0.1-192.168.0.255), networks (192.168.0.1/24), IPv4 and IPv6. *.*.*.* is everybody, "
        "over IPv6 too.",
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
        help="Targets to connect to directly, without an upstream: the forms of --allow, and names: host or "
        ".domain (with everything below), *.domain (below only), host:port, <local> (names without a "
        "dot, and loopback addresses), * (everything, as is 0.0.0.0/0). Separated by comma, "
        "semicolon or space. With noproxy, proxy may be empty: Px is then a "
        "regular proxy for what matches and refuses the rest.",
        parse=partial(HostRules.parse, names=True),
    ),
    Option(
        name="useragent",
        group=PROXY,
        section="proxy",
        key="useragent",
        metavar="TEXT",
        valid="printable ASCII characters",
        help="User-Agent to send instead of the client's own.",
        parse=parse_printable,
    ),
    Option(
        name="via",
        group=PROXY,
        section="proxy",
        key="via",
        default="1",
        valid="0 or 1",
        help="Whether requests and answers get a Via field. --via=0: they do not.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="username",
        group=LOGIN,
        section="proxy",
        key="username",
        metavar="USER",
        valid="DOMAIN\\user or user@REALM",
        help="Whom to log in as: DOMAIN\\user or user@REALM. Empty: the user logged in to this machine.",
        parse=parse_username,
        hides=lambda text: ":" in text,
    ),
    Option(
        name="workstation",
        group=LOGIN,
        section="proxy",
        key="workstation",
        metavar="NAME",
        valid="the computer's NetBIOS name: at most 15 letters, digits and hyphens",
        help="Name of this computer in NTLM logins with a password or hash. Empty: its host name.",
        parse=parse_workstation,
    ),
    Option(
        name="auth",
        group=LOGIN,
        section="proxy",
        key="auth",
        default="ANY",
        metavar="POLICY",
        valid="ANY, ANYSAFE, NONE, a scheme (NEGOTIATE, KERBEROS, NTLM, DIGEST, BASIC), "
        "or that with NO, ONLY, SAFENO before it",
        help="Login schemes that may be used: ANY, ANYSAFE (all but Basic), NEGOTIATE (Kerberos, else NTLM "
        "inside), KERBEROS, NTLM, DIGEST, BASIC, NONE (the client logs in end to end). A prefix "
        "before a scheme: NO (any but it), ONLY (it alone), SAFENO (ANYSAFE without it).",
        parse=parse_auth,
    ),
    Option(
        name="kerberos",
        group=LOGIN,
        section="proxy",
        key="kerberos",
        default="0",
        valid="0 or 1",
        help="Get a Kerberos ticket with the password of --username and renew it: at the start, in memory, "
        "in place of using a ticket of kinit. Not on Windows, which does so itself.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="password",
        group=LOGIN,
        key="password",
        metavar="TEXT",
        valid="a text",
        help="Password of --username. Comes before the hash, and that before one in the keyring.",
        parse=parse_secret,
        is_flag=False,
        hides=lambda _: True,
    ),
    Option(
        name="nthash",
        group=LOGIN,
        section="proxy",
        key="nthash",
        metavar="HASH",
        valid="32 hexadecimal digits",
        help="NT hash of that password: enough for NTLM. Guard it like the password.",
        parse=parse_nthash,
        is_flag=False,
        hides=lambda _: True,
    ),
    Option(
        name="client_auth",
        group=CLIENT,
        section="client",
        key="client_auth",
        default="NONE",
        metavar="POLICY",
        valid="NONE, ANY, ANYSAFE, schemes (NEGOTIATE, KERBEROS, NTLM, DIGEST, BASIC) with commas between "
        "them, or one with NO, ONLY, SAFENO before it",
        help="How the programs that use Px have to log in at Px, those on this computer too: NONE (not at "
        "all), ANY, ANYSAFE (all but Basic), or a comma separated list of NEGOTIATE (Kerberos, NTLM inside), "
        "KERBEROS, NTLM, DIGEST, BASIC; prefixes as for --auth. Offered is what can be checked: Kerberos "
        "with a keytab (KRB5_KTNAME), the others with a password (--client-password, PX_CLIENT_PASSWORD). On "
        "Windows, NEGOTIATE and NTLM let in the users of Windows.",
        parse=partial(parse_auth, is_list_valid=True),
    ),
    Option(
        name="client_username",
        group=CLIENT,
        section="client",
        key="client_username",
        metavar="USER",
        valid="DOMAIN\\user, user@REALM or user",
        help="The only user that clients may log in as: DOMAIN\\user, user@REALM or user. Empty: whoever "
        "has a password in the keyring or knows PX_CLIENT_PASSWORD, has a ticket, or is a user of Windows.",
        parse=parse_username,
        hides=lambda text: ":" in text,
    ),
    Option(
        name="client_nosspi",
        group=CLIENT,
        section="client",
        key="client_nosspi",
        default="0",
        valid="0 or 1",
        help="On Windows, check the clients' logins with PX_CLIENT_PASSWORD only, not by Windows' own users.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="client_password",
        group=CLIENT,
        key="client_password",
        metavar="TEXT",
        valid="a text",
        help="Password of --client_username; without that, of every client. Comes before one in the keyring.",
        parse=parse_secret,
        is_flag=False,
        hides=lambda _: True,
    ),
    Option(
        name="workers",
        group=SETTINGS,
        section="settings",
        key="workers",
        default="2",
        metavar="N",
        valid=f"a number from 1 to {MAX_WORKERS}",
        help="Processes that serve clients on the same port, besides the one that looks after them. 1: one "
        "process does it all.",
        parse=partial(parse_integer, low=1, high=MAX_WORKERS),
    ),
    Option(
        name="threads",
        group=SETTINGS,
        section="settings",
        key="threads",
        default="5",
        metavar="N",
        valid=f"a number from 1 to {MAX_THREADS}; fewer than 3 counts as 3",
        help="Threads of each worker for what blocks: Kerberos, name look-ups; never one per connection. "
        "At least 3.",
        parse=partial(parse_integer, low=1, high=MAX_THREADS),
    ),
    Option(
        name="idle",
        group=SETTINGS,
        section="settings",
        key="idle",
        default="30",
        metavar="SECONDS",
        valid="seconds, 0 (for ever) or more",
        help="Seconds that a tunnel (CONNECT, WebSocket) may be silent before it is closed; 0: for ever.",
        parse=partial(parse_seconds, is_zero_valid=True),
    ),
    Option(
        name="socktimeout",
        group=SETTINGS,
        section="settings",
        key="socktimeout",
        default="5",
        metavar="SECONDS",
        valid="seconds, more than 0, fractions too",
        help="Seconds to wait for others: for a name look-up, a connection, TLS, or the upstream's answer "
        "to a login step.",
        parse=partial(parse_seconds, is_zero_valid=False),
    ),
    Option(
        name="proxyreload",
        group=SETTINGS,
        section="settings",
        key="proxyreload",
        default="60",
        metavar="SECONDS",
        valid=f"a number from 1 to {MAX_RELOAD_SECONDS}",
        help="Seconds after which what names the upstreams is read again: the system's proxy settings, and "
        "the PAC script that they, --pac or the network (WPAD) name. Changes of the network count at once.",
        parse=partial(parse_integer, low=1, high=MAX_RELOAD_SECONDS),
    ),
    Option(
        name="foreground",
        group=SETTINGS,
        section="settings",
        key="foreground",
        default="0",
        valid="0 or 1",
        help="Stay at the console: write to it and end with Ctrl-C.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="debug",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to a file in the working directory, overwritten at start; the same as --log=2.",
        parse=parse_boolean,
        is_boolean=True,
        saved_as="log",
    ),
    Option(
        name="uniqlog",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to a file with a name of its own, so that nothing is overwritten; the same as --log=3.",
        parse=parse_boolean,
        is_boolean=True,
        saved_as="log",
    ),
    Option(
        name="verbose",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to the terminal, besides a file if one was asked for; alone the same as --log=4. "
        "Implies --foreground.",
        parse=parse_boolean,
        is_boolean=True,
        saved_as="log",
    ),
    Option(
        name="log",
        group=LOGGING,
        section="settings",
        key="log",
        default="0",
        metavar="N",
        valid=f"a number from 0 to {MAX_LOG}",
        help="Where to log. 0: off. 1, 2: a file in the working directory, overwritten at start. 3: there, "
        "with a unique name. 4: the terminal. 5: a file in your state directory. A crash always leaves a "
        "log.",
        parse=partial(parse_integer, low=0, high=MAX_LOG),
    ),
    Option(
        name="accesslog",
        group=LOGGING,
        section="settings",
        key="accesslog",
        metavar="FILE",
        valid="the path of a file that can be written, or -",
        help="A line for each request when it ends, in a file or, with -, on the terminal: who asked for "
        "what, what came of it, how many bytes and milliseconds, by which way and login. docs/logs.md has "
        "the columns.",
        parse=parse_text,
    ),
)

OPTION_BY_NAME: Final = {option.name: option for option in OPTIONS}

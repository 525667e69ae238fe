"""The options for the processes of Px: how many, how patient, what they write to logs."""

from __future__ import annotations

from functools import partial
from typing import Final

from px.config.option import Option
from px.config.values import (
    parse_allow,
    parse_boolean,
    parse_choice,
    parse_integer,
    parse_seconds,
    parse_text,
)

MAX_LOG: Final = 5
MAX_RELOAD_SECONDS: Final = 86400
MAX_THREADS: Final = 1000
MAX_WORKERS: Final = 64
_ACCESS_LOG_FORMATS: Final = ("px", "json", "combined")

SETTINGS: Final = "Settings"
LOGGING: Final = "Logging"

PROCESS_OPTIONS: Final = (
    Option(
        name="workers",
        group=SETTINGS,
        section="settings",
        key="workers",
        default="2",
        metavar="N",
        valid=f"a number from 1 to {MAX_WORKERS}",
        help="Number of processes that serve clients on the same port; one more process supervises them. "
        "With 1, a single process does everything.",
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
        help="Number of threads in each worker for calls that block: Kerberos and name look-ups. "
        "Connections need no threads. At least 3.",
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
        help="Seconds that a tunnel (CONNECT, WebSocket) may be silent before Px closes it. 0: never.",
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
        help="Seconds to wait for other computers: for a name look-up, a connection, a TLS handshake, or "
        "the upstream's answer to a login step.",
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
        help="Seconds after which Px reads again where the upstreams are: the proxy settings of the system, "
        "and the PAC script that these settings, --pac or the network (WPAD) name. When the network "
        "changes, Px reads them at once.",
        parse=partial(parse_integer, low=1, high=MAX_RELOAD_SECONDS),
    ),
    Option(
        name="metrics_allow",
        group=SETTINGS,
        section="settings",
        key="metrics_allow",
        default="127.0.0.0/8, ::1",
        metavar="LIST",
        valid="addresses (10.1.2.3), globs (10.1.*.*), ranges (10.1.2.1-10.1.2.9), networks (10.0.0.0/8)",
        help="Clients that may read /metrics and /healthz of Px, as for --allow; Px must admit them, too. "
        "Other pages of Px are for its own computer only. Empty: nobody.",
        parse=parse_allow,
        is_empty_meant=True,
    ),
    Option(
        name="foreground",
        group=SETTINGS,
        section="settings",
        key="foreground",
        default="0",
        valid="0 or 1",
        help="Stay in the foreground: write to the terminal and end with Ctrl-C.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="debug",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to a file in the working directory, which each start overwrites; the same as --log=2.",
        parse=parse_boolean,
        is_boolean=True,
        saved_as="log",
    ),
    Option(
        name="uniqlog",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to a file with a unique name in the working directory; the same as --log=3.",
        parse=parse_boolean,
        is_boolean=True,
        saved_as="log",
    ),
    Option(
        name="verbose",
        group=LOGGING,
        default="0",
        valid="0 or 1",
        help="Log to the terminal, and also to a file if another option asks for one. Alone the same as "
        "--log=4. Implies --foreground.",
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
        help="Where to write the log. 0: nowhere. 1 or 2: a file in the working directory, which each start "
        "overwrites. 3: a file with a unique name in the working directory. 4: the terminal. 5: a file in "
        "your state directory. A crash always leaves a log.",
        parse=partial(parse_integer, low=0, high=MAX_LOG),
        choices=tuple(map(str, range(MAX_LOG + 1))),
    ),
    Option(
        name="accesslog",
        group=LOGGING,
        section="settings",
        key="accesslog",
        metavar="FILE",
        valid="the path of a file that can be written, or -",
        help="File for the access log, or - for the terminal. Px writes one line when a request ends: "
        "client, target, result, bytes, milliseconds, route and login. docs/logs.md explains the columns.",
        parse=parse_text,
        is_path=True,
    ),
    Option(
        name="accesslog_format",
        group=LOGGING,
        section="settings",
        key="accesslog_format",
        default="px",
        metavar="NAME",
        valid="px, json or combined",
        help="Format of the access log. px: columns. json: a JSON object a line, with the columns "
        "as its names. combined: the Combined Log Format of web servers, which has no place for the "
        "milliseconds, route and login.",
        parse=partial(parse_choice, choices=_ACCESS_LOG_FORMATS),
        choices=_ACCESS_LOG_FORMATS,
    ),
)

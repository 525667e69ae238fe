"""px.ini files of users of the original Px, by its version, with every section and key of that version."""

from __future__ import annotations

from typing import Final

#: The file that the original Px shipped, with comments, as changed by a user.
_FIRST = """\
; Settings of Px, a proxy that logs in

[proxy]

; The proxies of the company, comma separated
server = proxy.corp.example:8080,proxy2.corp.example:8080

; Where Px listens
port = 3129
listen = 127.0.0.1

; Let other machines use this Px
gateway = 0
hostonly = 0
allow = *.*.*.*

; Reached without a proxy
noproxy = 127.*.*.*,10.*.*.*,192.168.0.1-192.168.0.255,172.16.0.1/12

; Sent in place of the client's own
useragent =

[settings]

workers = 2
threads = 5
idle = 30
socktimeout = 5
proxyreload = 60
foreground = 0
log = 0
"""

#: A file written by its --save: every key, without comments.
_LATER = """\
[proxy]
server = proxy.corp.example:8080
pac =
pac_encoding =
port = 3129
listen = 127.0.0.1
gateway = 0
hostonly = 0
allow = *.*.*.*
noproxy = 10.0.0.0/8,.corp.example,<local>
useragent =
username = CORP\\alice
auth =
kerberos = 0

[client]
client_username =
client_auth = NONE
client_nosspi = 0

[settings]
workers = 1
threads = 32
idle = 30
socktimeout = 20.0
proxyreload = 60
foreground = 0
log = 3

"""

#: The same with later keys, which have no effect in this Px.
_LATEST = _LATER.rstrip() + "\nauthretry = 0.0\nevent_loop = auto\nlog_level = info\n"

#: A file written by ``--hostonly --save``: the value of ``allow`` is empty.
HOSTONLY_INI: Final = """\
[proxy]
server = proxy.corp.example:8080
pac =
pac_encoding =
port = 3129
listen =
gateway = 0
hostonly = 1
allow =
noproxy =
useragent =
username =
auth =
kerberos = 0

[client]

[settings]
workers = 1
threads = 32
idle = 30
socktimeout = 20.0
authretry = 0.0
proxyreload = 60
foreground = 0
log = 0
event_loop = auto

"""

ORIGINAL_INIS: Final = {
    "0.3": _FIRST,
    "0.12": _LATER,
    "0.13": _LATEST,
}

"""px.ini files as users of the original Px have them, by its version: every section and key that it knows."""

from __future__ import annotations

from typing import Final

#: Shipped with comments, in which users have made their changes.
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

#: Written by its --save: every key that it knows, without comments.
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

ORIGINAL_INIS: Final = {"0.3": _FIRST, "0.12": _LATER}

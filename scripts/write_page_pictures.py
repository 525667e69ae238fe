"""Writes docs/status-page.png and docs/status-page-phone.png: the status page with figures made up.

Run it after a change of the page, as ``python -m scripts.write_page_pictures``. It needs Debian's chromium.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

from px.processes.active_groups import group_active
from px.processes.status_texts import STATE_TEXTS
from tests.devtools import Chromium

_ROOT: Final = Path(__file__).resolve().parent.parent
_PAGES: Final = _ROOT / "src" / "px" / "downstream" / "pages"
_FILES: Final = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_UPSTREAM: Final = "http://proxy1.corp.example:8080"


class Picture(NamedTuple):
    """One picture of the page."""

    name: str
    width: int
    height: int
    scheme: str


PICTURES: Final = (
    Picture("status-page.png", 1280, 840, "light"),
    Picture("status-page-phone.png", 360, 760, "dark"),
)


def make_status(now: float) -> dict[str, Any]:
    """Return what a busy Px of a morning reports; see `px.processes.status`."""
    begun = now - 11_500
    active = [
        _tunnel("outlook.office365.com:443", "thunderbird", now - 10_400, 1_230_000, 44_100_000),
        _tunnel("build.corp.example:22", "ssh", now - 4_000, 20_400, 341_000, "direct"),
        *(
            _tunnel("www.youtube.com:443", "chromium", now - 960 - 9 * i, 88_000, 51_200_000)
            for i in range(6)
        ),
        _tunnel("github.com:443", "git", now - 12, 4_100, 88_300_000),
        *(_tunnel("files.pythonhosted.org:443", "pip", now - 5 + i, 2_300, 910_000) for i in range(3)),
    ]
    return {
        "version": "0.1.0",
        "pid": 4711,
        "started": begun,
        "uptime_seconds": now - begun,
        "config": "/home/alice/.config/px/px.ini",
        "listen": ["127.0.0.1:3128", "[::1]:3128"],
        "socks": [],
        "tunnels": [],
        "noproxy": "*.corp.example",
        "clients_log_in": False,
        "workers": [{}, {}],
        "discovered_proxy": "the GNOME settings: PAC script http://wpad.corp.example/wpad.dat",
        "upstreams": [
            _upstream(
                _UPSTREAM, "in use", 3.2, "Kerberos ticket of alice@CORP.EXAMPLE, to be renewed at 18:40:12"
            ),
            _upstream("http://proxy2.corp.example:8080", "ready", 41.7, ""),
        ],
        "open_connections": 19,
        "open_tunnels": len(active),
        "counters": {
            "connections": 1_894,
            "requests": 23_456,
            "tunnels": 1_290,
            "errors": 3,
            "received_bytes": 178_123_456,
            "sent_bytes": 5_412_345_678,
            "logins_accepted": 87,
            "logins_refused": 0,
        },
        "problems": [_problem(now)],
        "active": active,
        "active_groups": [group.to_report() for group in group_active(active).values()],
        "active_total": len(active),
        "traffic": _make_traffic(now),
    }


def _tunnel(
    target: str, program: str, since: float, up: int, down: int, route: str = _UPSTREAM
) -> dict[str, object]:
    who = {"client": "127.0.0.1", "program": program, "user": ""}
    what = {"kind": "tunnel", "method": "CONNECT", "target": target, "route": route}
    return {**what, **who, "since": since, "up": up, "down": down}


def _upstream(upstream: str, state: str, latency_ms: float, ticket: str) -> dict[str, object]:
    return {
        "upstream": upstream,
        "state": state,
        "state_text": STATE_TEXTS[state],
        "identity": "alice@CORP.EXAMPLE",
        "has_logged_in": bool(ticket),
        "method": "Negotiate (Kerberos)" if ticket else "",
        "blocked": "",
        "ticket": ticket,
        "why": f"{_UPSTREAM} serves." if state == "ready" else "It served the last request.",
        "latency_ms": latency_ms,
        "offers": ["Negotiate", "NTLM"],
    }


def _problem(now: float) -> dict[str, object]:
    return {
        "hop": _UPSTREAM,
        "status": 504,
        "cause": "http://proxy1.corp.example:8080 gave no answer within 20 s.",
        "hint": "The site or the upstream is overloaded; try again later.",
        "count": 3,
        "first": now - 9_000,
        "last": now - 7_900,
    }


def _make_traffic(now: float) -> dict[str, object]:
    chance = random.Random(3)  # noqa: S311 - not for secrets
    waves = [max(0.0, math.sin(slot / 41) + math.sin(slot / 11) * 0.5) for slot in range(360)]
    down = [int(wave * 9e6 + chance.random() ** 5 * 1.6e7) for wave in waves]
    waves[-1] *= now % 10 / 10  # this slot has not ended yet
    down[-1] = int(down[-1] * (now % 10) / 10)
    return {
        "seconds": 10,
        "end": int(now) // 10 * 10 + 10,
        "up": [each // 17 + chance.randrange(200_000) for each in down],
        "down": down,
        "requests": [int(wave * 24 + chance.random() * 9) for wave in waves],
    }


class _Handler(BaseHTTPRequestHandler):
    """Serves the page, and one status."""

    def do_GET(self) -> None:
        if self.path == "/events":
            self._send("text/event-stream", b"data: %b\n\n" % json.dumps(make_status(time.time())).encode())
        else:
            name, content_type = _FILES[self.path]
            self._send(content_type, (_PAGES / name).read_bytes())

    def _send(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the browser has another page by now
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@contextlib.contextmanager
def serving_page() -> Iterator[str]:
    """Serve the page; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    """Write the pictures."""
    with (
        tempfile.TemporaryDirectory(prefix="px-", ignore_cleanup_errors=True) as directory,
        serving_page() as url,
    ):
        environment = {"PATH": os.environ["PATH"], "HOME": directory, "TMPDIR": directory}
        with Chromium(Path(directory), environment) as chromium:
            for picture in PICTURES:
                chromium.look(picture.width, picture.height, picture.scheme)
                chromium.open(url)
                chromium.wait_for("document.querySelector('#plot path.requests') !== null")
                path = _ROOT / "docs" / picture.name
                path.write_bytes(chromium.take_picture())
                print(f"wrote {path}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

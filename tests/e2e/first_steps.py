"""A person who takes the first steps with Px at a terminal, for the pictures of docs/first-steps.md."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from scripts.terminal_svg import Picture
from tests.corpnet.network import CorporateNetwork
from tests.corpnet.squid import Upstream
from tests.free_ports import free_port
from tests.px_process import DEFAULT_PORT, clean_environment
from tests.secret_service import dbus_session
from tests.terminal import Terminal

from .newcomer import answer, log_in, read_to_end

#: The names in the pictures: of the company's proxy, and of the site that Px tests with.
PROXY: Final = "proxy.corp.example"
SITE: Final = "www.example.com"
_USUAL_PORT: Final = 8080
_START: Final = "[Y/n]: "
_WRONG: Final = "Wr0ng-Secret-77e1"
#: Codes of `px.cli.top.screen`.
_HOME, _ERASE, _LEAVE = "\x1b[H", re.compile("\x1b\\[[JK]"), "\x1b[?7h"

_CNTLM_CONF: Final = """\
Username\t{user}
Domain\t\tADTEST
Password\t{password}
Proxy\t\t{proxy}
NoProxy\t\tlocalhost, 127.0.0.*, 10.*, *.corp.example
Listen\t\t{port}
Auth\t\tNTLMv2
"""

#: What differs from run to run or from network to network, and what each picture has in its place.
_MASKS: Final = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"Waiting for .*\n", ""),
        (r"\([0-9.]+ m?s\)", "(20 ms)"),
        (r"pid \d+", "pid 4711"),
        (rf"({re.escape(PROXY)} is) 127\.0\.0\.1", r"\1 10.20.0.8"),
        (r"(runs, pid 4711, for) [\d smin]+", r"\1 12 s"),
        (r"(pid 4711, up) [\d smin]+", r"\1 12 s"),
        (r"\d+ from clients, \d+ to clients", "2411 from clients, 3962 to clients"),
        (r"\d+ accepted, 0 refused", "4 accepted, 0 refused"),
        (r"(px\.ini|are kept in)\n +/", r"\1 /"),
    )
)
#: The same for the columns of ``px --top``: the text is filled up with blanks on its left.
_CELLS: Final = tuple(
    (re.compile(pattern, re.MULTILINE), text)
    for pattern, text in (
        (r" \d\d:\d\d:\d\d ", "09:12:43 "),
        (r"(?<=^down) +[\d.]+ MB/s", "20 MB/s"),
        (r"(?<=^up) +[\d.]+ k?B/s", "423 B/s"),
        (r"(?<=^requests) +[\d.]+/s", "0.5/s"),
        (r"(?<=\x1b\[2m) +[\d.]+ MB/s", "20 MB/s"),
        (r"(?<=\x1b\[2m) +[\d.]+ k?B/s", "423 B/s"),
        (r"(?<=\x1b\[2m) +[\d.]+/s", "0.5/s"),
        (r"[▁-█](?=[▁-█])", "▁"),
        (r"[▁-█](?=\x1b)", "█"),
        (r" +(< 1|\d+) ms", "< 1 ms"),
        (r"(?<=\x1b\[32m) *[\d.]+ MB/s", "20 MB/s"),
        (r" +[\d.]+ MB ", "62 MB "),
        (r" +[\d.]+ k?B ", "846 B "),
        (r" +\d+ s  ", "3 s  "),
    )
)


class Person:
    """A person whose computer is in the corporate network.

    Args:
        network: The network.
        name: The name of the person's account on the computer.
        directory: A private directory with a short path, for the home; made.
        environment: More environment variables.
    """

    def __init__(
        self,
        network: CorporateNetwork,
        name: str,
        directory: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._name = name
        self.network = network
        self.port = free_port()
        directory.mkdir(mode=0o700)
        self._environ = clean_environment(directory)
        self.home = Path(self._environ["HOME"])
        (directory / "hosts").write_text(f"127.0.0.1 {PROXY}\n")
        self._environ |= {
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_STATE_HOME": str(self.home / ".local" / "state"),
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_HOSTS": str(directory / "hosts"),
            "CURL_CA_BUNDLE": str(network.ca_file),
            "PYTHONWARNINGS": "error,ignore::ResourceWarning",  # as that of the library of the keyring
            "LOGNAME": name,
            "TERM": "xterm",
            "NO_COLOR": "",
            "PYTHONIOENCODING": "utf-8",
            **(environment or {}),
            "HOME": str(self.home),
        }

    def open_terminal(self, *arguments: str) -> Terminal:
        """Run Px at a terminal."""
        return Terminal([sys.executable, "-m", "px", *arguments], self._environ, directory=self.home)

    def run(self, name: str, command: str, *arguments: str, exit_code: int = 0) -> Picture:
        """Return the picture of a run of Px that needs no keys.

        Args:
            name: Of the picture.
            command: The command in the picture.
            arguments: Those of Px, with the ports of this network.
            exit_code: That Px has to end with.
        """
        with self.open_terminal(*arguments) as terminal:
            return _picture(name, command, self.mask(read_to_end(terminal, exit_code)))

    def proxy(self, upstream: Upstream) -> str:
        """Return the address of an upstream."""
        return f"{PROXY}:{upstream.port}"

    def mask(self, shown: str) -> str:
        """Return what a terminal shows, with the same ports, times and paths for each run."""
        shown = shown.replace("\r", "")  # curl ends lines with it
        origin = self.network.origin
        for port in (origin.port, origin.tls_port):
            shown = shown.replace(f"{SITE}:{port}/", f"{SITE}/").replace(f"{SITE}:{port}", f"{SITE}:443")
        shown = re.sub(rf"{re.escape(PROXY)}:\d+", f"{PROXY}:{_USUAL_PORT}", shown)
        shown = shown.replace(f" --port={self.port}", "").replace(str(self.port), str(DEFAULT_PORT))
        shown = shown.replace(str(self.home), f"/home/{self._name}")
        for pattern, text in _MASKS:
            shown = pattern.sub(text, shown)
        return shown

    def set_up(self) -> Picture:
        """Set Px up, with a keyring and no ticket."""
        bob, site = self.network.ad.bob, self.network.origin.url("/", SITE)
        with self.open_terminal(f"--setup={site}", f"--port={self.port}", "--workers=1") as terminal:
            log_in(terminal, self.proxy(self.network.ntlm), f"ADTEST\\{bob.name}", bob.password)
            answer(terminal, _START, "")
            shown = self.mask(read_to_end(terminal, 0))
        self.point_at_px()
        return _picture("setup", "px --setup", shown)

    def watch_download(self) -> Picture:
        """Look at ``px --top`` while curl downloads a file."""
        with self._downloading(), self.open_terminal("--top") as terminal:
            terminal.read_until(lambda output: "MB/s" in _find_row(output, "curl"))
            terminal.press("q")
            frame = _ERASE.sub("", _last_frame(read_to_end(terminal, 0)))
        lines = [_fit(self.mask(line), len(line)) for line in _mask_cells(frame).split("\n")]
        return _picture("top", "px --top", "\n".join(lines))

    @contextlib.contextmanager
    def _downloading(self) -> Iterator[None]:
        """Have curl download more than all buffers on the way hold."""
        url = self.network.origin.tls_url("/bytes/4000000000", SITE)
        curl = ["curl", "--silent", "--limit-rate", "20M", "--output", "/dev/null", url]
        with subprocess.Popen(curl, env=self._environ) as process:
            try:
                yield
            finally:
                process.kill()

    def point_at_px(self) -> None:
        """Set the variables of ``px --env``."""
        self._environ |= dict.fromkeys(("http_proxy", "https_proxy"), f"http://127.0.0.1:{self.port}")

    def write_settings(self, proxy: str, user: str, password: str) -> None:
        """Write a px.ini, and set the password."""
        place = self.home / ".config" / "px" / "px.ini"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"[proxy]\nserver = {proxy}\nusername = {user}\nport = {self.port}\n")
        self._environ["PX_PASSWORD"] = password

    def write_cntlm_conf(self) -> None:
        """Write a configuration of cntlm."""
        bob, proxy = self.network.ad.bob, self.proxy(self.network.ntlm)
        conf = _CNTLM_CONF.format(user=bob.name, password=bob.password, proxy=proxy, port=self.port)
        (self.home / "cntlm.conf").write_text(conf)


def _picture(name: str, command: str, shown: str) -> Picture:
    return Picture(f"first-steps/{name}", command, shown)


def _last_frame(output: str) -> str:
    """Return what the last view of ``px --top`` has drawn."""
    return output.rpartition(_HOME)[2].partition(_LEAVE)[0].replace("\r\n", "\n")


def _find_row(output: str, program: str) -> str:
    """Return the line of a program in the last view of ``px --top``; empty: there is none."""
    return next((line for line in _last_frame(output).split("\n") if f" {program}" in line), "")


def _mask_cells(frame: str) -> str:
    """Return a view of ``px --top`` with the same figures for each run, in cells of the same width."""
    for pattern, text in _CELLS:
        frame = pattern.sub(partial(_fill, text), frame)
    return frame


def _fill(text: str, found: re.Match[str]) -> str:
    return text.rjust(len(found[0]))


def _fit(line: str, length: int) -> str:
    """Return a line with the blanks that it needs for its length, in front of the second column."""
    return line.replace("  ", " " * (2 + length - len(line)), 1)


def take_first_steps(network: CorporateNetwork, directory: Path) -> Iterator[Picture]:
    """Yield the pictures.

    Args:
        network: The network. Carol of its domain gives a wrong password once.
        directory: A private directory with a short path.
    """
    site = network.origin.url("/", SITE)
    with dbus_session(directory / "session") as session, session.gnome_keyring():
        bob = Person(network, "bob", directory / "bob", session.environment)
        try:
            yield bob.set_up()
            yield bob.run("test", "px --test", f"--test={site}")
            yield bob.run("doctor", "px --doctor", f"--doctor={site}")
            curl = ("curl", "-I", network.origin.tls_url("/", SITE))
            yield bob.run("run", f"px --run -- curl -I https://{SITE}/", "--run", "--", *curl)
            yield bob.run("status", "px --status", "--status")
            yield bob.watch_download()
        finally:
            bob.run("quit", "px --quit", "--quit")
    carol = Person(network, "carol", directory / "carol")
    carol.point_at_px()
    carol.write_settings(carol.proxy(network.ntlm), f"ADTEST\\{network.ad.carol.name}", _WRONG)
    yield carol.run("doctor-wrong-password", "px --doctor", f"--doctor={site}", exit_code=4)
    carol.write_settings(f"{PROXY}:{free_port()}", f"ADTEST\\{network.ad.carol.name}", _WRONG)
    yield carol.run("test-closed-port", "px --test", f"--test={site}", exit_code=4)
    switcher = Person(network, "bob", directory / "switcher")
    switcher.write_cntlm_conf()
    yield switcher.run("import", "px --import=cntlm.conf", "--import=cntlm.conf")

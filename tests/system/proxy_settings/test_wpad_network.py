"""Automatic detection in a real network, with dnsmasq as DNS and DHCP server, dhclient and dhcpcd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import px
from tests.corpnet.system_programs import INSTALL_SCRIPT
from tests.namespaces import Namespace, SmallNetwork, skip_without_namespaces

_SECONDS = 30.0
URL = "http://intranet.corp.example/proxy.pac"
_DETECT = """
import sys
sys.path.insert(0, sys.argv[1])
from px.system.proxy_settings.wpad import detect_pac_url
print(detect_pac_url(20))
"""
#: Mounts files and directories over those of the system, for one command.
_MOUNT_AND_RUN = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done; shift; exec "$@"'


class Host:
    """The computer that Px runs on, with its own configuration.

    Args:
        namespace: The network namespace of the computer.
        directory: The directory for its files.
    """

    def __init__(self, namespace: Namespace, directory: Path) -> None:
        self._namespace = namespace
        self._directory = directory
        self._mounts: dict[str, Path] = {}
        self.replace("/etc/nsswitch.conf", "hosts: files dns\n")

    def replace(self, path: str, text: str) -> None:
        """Replace a file of the system."""
        mine = self._directory / Path(path).name
        mine.write_text(text)
        self._mounts[path] = mine

    def replace_directory(self, path: str) -> Path:
        """Replace a directory of the system with an empty one, and return the empty one."""
        mine = self._directory / path.strip("/").replace("/", "-")
        mine.mkdir()
        self._mounts[path] = mine
        return mine

    def command(self, *command: str) -> list[str]:
        mounts = [str(end) for path, mine in self._mounts.items() for end in (mine, path)]
        return [*self._namespace.prefix, "sh", "-c", _MOUNT_AND_RUN, "sh", *mounts, "--", *command]

    def detect(self) -> str:
        """Return the URL that Px detects on this host."""
        source = str(Path(px.__file__).parent.parent)
        done = subprocess.run(
            self.command(sys.executable, "-c", _DETECT, source),
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
        return done.stdout.strip()


@contextlib.contextmanager
def running(command: list[str], is_ready: Callable[[], bool]) -> Iterator[None]:
    """Run a program, wait until it is ready, and end it after the test."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            latest = time.monotonic() + _SECONDS
            while not is_ready():
                assert process.poll() is None, f"{command} has ended"
                assert time.monotonic() < latest, f"{command} is not ready in time"
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[SmallNetwork]:
    """Run the network, in which the host "remote" is the DHCP server and the DNS server of corp.example."""
    skip_without_namespaces()
    require("dnsmasq")
    with SmallNetwork() as network:
        leases, pid = tmp_path / "leases", tmp_path / "pid"
        options = (
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-hosts",
            "--no-resolv",
            "--interface=host",
            "--bind-interfaces",
            "--user=root",
            "--group=",
            f"--pid-file={pid}",
            f"--dhcp-leasefile={leases}",
            "--dhcp-authoritative",
            "--no-ping",
            "--dhcp-range=203.0.113.100,203.0.113.120,1h",
            f"--dhcp-option=252,{URL}\n",  # as many servers are configured
            "--local=/example/",
            "--host-record=wpad.corp.example,203.0.113.80",
        )
        with running([*network.remote.prefix, "dnsmasq", *options], pid.exists):
            yield network


@pytest.fixture
def host(network: SmallNetwork, tmp_path: Path) -> Host:
    return Host(network.host, tmp_path)


def require(program: str) -> None:
    """Skip the test if a program is missing; fail on a CI server, where a skip would go unnoticed."""
    if shutil.which(program) is None:
        reason = f"NOT TESTED: there is no {program}; run {INSTALL_SCRIPT}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.mark.parametrize(
    ("domains", "url"),
    [
        ("corp.example", "http://wpad/wpad.dat"),
        ("other.example corp.example", "http://wpad/wpad.dat"),
        ("office.corp.example", "None"),  # Px does not try corp.example
    ],
)
def test_the_host_named_wpad_is_resolved_in_the_search_domains_of_the_system(
    host: Host, domains: str, url: str
) -> None:
    host.replace("/etc/resolv.conf", f"nameserver 203.0.113.7\nsearch {domains}\n")
    assert host.detect() == url


def test_a_lease_of_dhclient_names_the_script(host: Host, tmp_path: Path) -> None:
    require("dhclient")
    host.replace("/etc/resolv.conf", "nameserver 203.0.113.7\n")
    leases = host.replace_directory("/var/lib/dhcp")
    configuration = tmp_path / "dhclient.conf"
    configuration.write_text("option wpad code 252 = text;\nrequest subnet-mask, wpad;\n")
    files = ("-cf", str(configuration), "-pf", str(tmp_path / "dhclient.pid"), "-sf", "/bin/true")
    with running(host.command("dhclient", "-d", "-4", *files, "remote"), lambda: has_lease(leases)):
        assert host.detect() == URL


def test_a_lease_of_dhcpcd_names_the_script(host: Host, tmp_path: Path) -> None:
    require("dhcpcd")
    host.replace("/etc/resolv.conf", "nameserver 203.0.113.7\n")
    leases = host.replace_directory("/var/lib/dhcpcd")
    host.replace_directory("/run")
    configuration = tmp_path / "dhcpcd.conf"
    configuration.write_text("define 252 string wpad\noption wpad\n")
    options = ("-B", "-4", "--noarp", "-f", str(configuration), "-c", "/bin/true")
    with running(host.command("dhcpcd", *options, "remote"), lambda: has_lease(leases)):
        assert host.detect() == URL


def has_lease(directory: Path) -> bool:
    return any(URL.encode() in path.read_bytes() for path in directory.glob("*lease*"))

"""Option 252 in the leases that the DHCP clients of Linux store."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from px.system.proxy_settings.dhcp_leases import (
    clean_url,
    find_leased_url,
    parse_dhclient,
    parse_message,
    parse_networkd,
)

URL = "http://intranet.corp.example/proxy.pac"
NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC).timestamp()

#: A lease file in the form of dhclient 4.4.3.
_DHCLIENT = """\
lease {
  interface "eth0";
  fixed-address 203.0.113.109;
  option wpad "http://old.corp.example/proxy.pac";
  option subnet-mask 255.255.255.0;
  renew 4 2026/11/26 11:17:06;
  expire 4 2026/11/26 11:59:59;
}
lease {
  interface "eth0";
  fixed-address 203.0.113.109;
  option wpad "http://intranet.corp.example/proxy.pac\\012";
  option domain-name "corp.example";
  renew 4 2026/11/26 12:17:06;
  expire 4 2026/11/26 12:52:45;
}
"""
#: A lease file in the form of systemd-networkd 252.
_NETWORKD = f"""\
# This is private data. Do not parse.
ADDRESS=203.0.113.109
LIFETIME=3600
DOMAINNAME=corp.example
OPTION_224={b"x".hex()}
OPTION_252={URL.encode().hex()}00
"""


def message(*options: tuple[int, bytes]) -> bytes:
    """Return a DHCP message with options."""
    head = bytes([2, 1, 6, 0]) + bytes(232) + bytes([99, 130, 83, 99])
    return head + b"".join(bytes([code, len(value)]) + value for code, value in options) + b"\xff" + bytes(60)


@pytest.mark.parametrize(
    "text",
    [URL, f" {URL}\n", f"{URL}\x00", rf"{URL}\n", rf"{URL}\000", rf"{URL}\012", f"{URL}\r\n\x00"],
)
def test_bytes_that_servers_append_to_the_url_are_removed(text: str) -> None:
    assert clean_url(text) == URL


@pytest.mark.parametrize(
    "text", ["", " ", "wpad", "file:///etc/passwd", "http://a b", "http://é/", f"x{URL}", "http://"]
)
def test_a_text_that_is_not_an_http_url_is_ignored(text: str) -> None:
    assert clean_url(text) is None


@pytest.mark.parametrize(
    ("minutes", "urls"),
    [(-1, [URL, "http://old.corp.example/proxy.pac"]), (1, [URL]), (60, [])],
)
def test_dhclient_leases_count_until_they_expire_the_latest_first(minutes: int, urls: list[str]) -> None:
    found = list(parse_dhclient(_DHCLIENT, NOW + minutes * 60))
    assert [clean_url(text) for text in found] == urls


@pytest.mark.parametrize(
    ("option", "expire", "is_there"),
    [
        (f'wpad "{URL}"', "never", True),
        (f'wpad-url "{URL}"', f"epoch {NOW + 5:.0f}; # Thu Nov 26 12:00:05 2026", True),
        (f'local-proxy-config "{URL}"', f"epoch {NOW - 5:.0f}", False),
        (f'unknown-252 "{URL}"', "4 2026/11/26 12:00:01", True),
        (f"unknown-252 {URL.encode().hex(':')}", "4 2026/11/26 12:00:01", True),
        (f'domain-name "{URL}"', "never", False),
        ("unknown-252 68:7", "never", False),
        (f'wpad "{URL}"', "4 2026/99/26 12:00:01", False),
    ],
)
def test_dhclient_knows_the_option_by_several_names(option: str, expire: str, is_there: bool) -> None:
    lease = f"lease {{\n  option {option};\n  expire {expire};\n}}\n"
    found = [clean_url(text) for text in parse_dhclient(lease, NOW)]
    assert (URL in found) is is_there


def test_networkd_writes_the_option_in_hex() -> None:
    assert [clean_url(text) for text in parse_networkd(_NETWORKD)] == [URL]
    assert [clean_url(text) for text in parse_networkd("OPTION_252=xyz\nOPTION_252")] == [None, None]


def test_dhcpcd_stores_the_message() -> None:
    lease = (51, (3600).to_bytes(4, "big"))
    assert list(parse_message(message((1, b"\xff" * 4), lease, (252, URL.encode())), 10)) == [URL]
    assert list(parse_message(message(lease, (252, URL.encode())), 3601)) == []
    assert list(parse_message(message((252, URL.encode())), 3601)) == [URL]
    assert list(parse_message(message(lease), 10)) == []


def test_the_pieces_of_an_option_are_joined() -> None:
    pieces = [(252, URL[:9].encode()), (0, b""), (252, URL[9:].encode())]
    assert list(parse_message(message(*pieces), 10)) == [URL]


@pytest.mark.parametrize("cut", [0, 100, 239, 240, 241, 242, 250])
def test_a_truncated_message_names_no_script(cut: int) -> None:
    assert URL not in list(parse_message(message((252, URL.encode()))[:cut], 10))


def test_a_message_of_another_kind_names_no_script() -> None:
    assert not list(parse_message(b"\xfc\x03abc" * 100, 10))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("run/systemd/netif/leases/2", _NETWORKD.encode()),
        ("var/lib/NetworkManager/internal-0000-eth0.lease", _NETWORKD.encode()),
        ("var/lib/NetworkManager/dhclient-0000-eth0.lease", _DHCLIENT.encode()),
        ("var/lib/dhcp/dhclient.leases", _DHCLIENT.encode()),
        ("var/lib/dhcp/dhclient.eth0.leases", _DHCLIENT.encode()),
        ("var/lib/dhclient/dhclient--eth0.lease", _DHCLIENT.encode()),
        ("var/lib/dhcpcd/eth0.lease", message((252, URL.encode()))),
        ("var/lib/dhcpcd5/dhcpcd-eth0.lease", message((252, URL.encode()))),
    ],
)
def test_the_leases_of_each_client_are_found(tmp_path: Path, path: str, text: bytes) -> None:
    assert find_leased_url({"PATH": ""}, tmp_path, NOW) is None
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_bytes(text)
    assert find_leased_url({"PATH": ""}, tmp_path, NOW) == URL


def test_the_latest_of_several_files_counts(tmp_path: Path) -> None:
    directory = tmp_path / "run/systemd/netif/leases"
    directory.mkdir(parents=True)
    for index, (name, seconds) in enumerate((("a", 300), ("b", 500), ("c", 100))):
        text = f"http://{name}/".encode().hex()
        (directory / str(index)).write_text(f"OPTION_252={text}\n")
        os.utime(directory / str(index), (seconds, seconds))
    assert find_leased_url({"PATH": ""}, tmp_path, NOW) == "http://b/"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_the_lease_of_network_manager_comes_first(tmp_path: Path) -> None:
    """The output is that of nmcli 1.42; the fake tool prints it only for the arguments that Px gives."""
    output = (
        "DHCP4.OPTION[1]:dhcp_lease_time = 3600\n"
        "DHCP4.OPTION[2]:requested_wpad = 1\n"
        "\n"
        f"DHCP4.OPTION[3]:wpad = {URL}\\000\n"
    )
    (tmp_path / "output").write_text(output)
    tool = tmp_path / "nmcli"
    question = "-t -e no -f DHCP4 device show"
    tool.write_text(f'#!/bin/sh\n[ "$*" = "{question}" ] && cat {tmp_path}/output\n')
    tool.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (tmp_path / "var/lib/dhcp").mkdir(parents=True)
    (tmp_path / "var/lib/dhcp/dhclient.leases").write_text(_DHCLIENT.replace("intranet", "other"))
    assert find_leased_url(environ, tmp_path, NOW) == URL
    (tmp_path / "output").write_text(output.replace(":wpad", ":other"))
    assert find_leased_url(environ, tmp_path, NOW) == URL.replace("intranet", "other")

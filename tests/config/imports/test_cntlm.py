"""cntlm.conf: what becomes of each keyword. The facts about cntlm were seen at the real cntlm 0.92.3."""

from __future__ import annotations

import pytest

from px.config.imports.cntlm import read_entries
from px.config.imports.draft import Entry, ImportDraft
from px.core.http.target import Authority

from .conversion import Converter

LOGIN = "Username alice\nDomain CORP\nProxy proxy.corp.example:8080\n"

#: As an administrator may have written it; the hashes are those that cntlm -H prints for "password".
OFFICE = """\
# Cntlm of the office
[corp]
Username	alice
Domain		CORP
Auth		NTLMv2
PassLM          1AD35398BE6565DDB5C4EF70C0593492
PassNT          77B9081511704EE852F94227CF48A793
PassNTLMv2      BE4BFD6B751DDF771BAE9CADDD951574    # Only for user 'alice', domain 'CORP'
Flags		0x06820000
Workstation	PC-4711

Proxy		proxy1.corp.example:8080
PROXY		proxy2.corp.example 3128
NoProxy		localhost, 127.0.0.*, 10.* *.corp.example,intranet
NoProxy		build?.example

Listen		3128
Listen		127.0.0.1:8118
Gateway		Yes
Allow		127.0.0.1
Allow		10.20.0.0/16
Deny		0/0
SOCKS5Proxy	1080
Tunnel		2222:git.example:22
Tunnel		127.0.0.1:2525:mail.example:25
Header		User-Agent: Mozilla/5.0 (Windows NT 10.0)
Header		X-Floor: 3
ISAScannerSize	1024
Colour		red
"""


def test_a_whole_cntlm_conf_becomes_a_px_ini_that_loads_without_a_warning(converter: Converter):
    done = converter.convert(OFFICE)
    settings = done.settings
    assert done.found.kind == "a configuration of cntlm"
    assert done.warnings == ()
    assert [str(each) for each in settings.proxy] == [
        "http://proxy1.corp.example:8080",
        "http://proxy2.corp.example:3128",
    ]
    assert (settings.username, str(settings.auth), settings.workstation) == ("CORP\\alice", "NTLM", "PC-4711")
    assert settings.nthash
    assert settings.nthash.reveal() == "8846f7eaee8fb117ad06bdd830b7586c"
    assert (settings.port, settings.socks, settings.gateway) == (3128, 1080, True)
    assert settings.tunnel == ((2222, Authority("git.example", 22)),)
    assert str(settings.allow) == "10.20.0.0/16, 127.0.0.1"
    assert settings.useragent == "Mozilla/5.0 (Windows NT 10.0)"
    rules = settings.noproxy
    assert all(
        rules.matches_name(host, 80) for host in ("localhost", "10.1.2.3", "a.corp.example", "intranet")
    )
    assert not any(
        rules.matches_name(host, 80) for host in ("www.intranet", "corp.example", "build1.example")
    )


def test_each_setting_that_is_lost_has_its_line_a_reason_and_a_remedy(converter: Converter):
    done = converter.convert(OFFICE)
    assert [warning.partition(" is not")[0] for warning in done.found.warnings] == [
        "foreign.conf:15: NoProxy",
        "foreign.conf:18: Listen",
        "foreign.conf:25: Tunnel",
        "foreign.conf:27: Header",
        "foreign.conf:28: ISAScannerSize",
        "foreign.conf:29: Colour",
    ]
    assert all(": " in warning and "; " in warning for warning in done.found.warnings)
    assert [note.partition(" is not")[0] for note in done.found.notes] == ["foreign.conf:9: Flags"]


def test_the_lines_are_read_as_cntlm_reads_them():
    text = '  uSERname\t"al #ice" x\r\nDomain corp;x # c\n;Auth LM\n#Auth NT\nPort\nPassword p#w\n'
    text += "Listen ::1:3128\nAuth=NT\nProxy:p:1"
    assert [(entry.key, entry.text, entry.line) for entry in read_entries(text)] == [
        ("uSERname", "al #ice", 1),
        ("Domain", "corp;x", 2),
        ("Password", "p", 6),
        ("Listen", "::1:3128", 7),
        ("Auth", "NT", 8),
        ("Proxy", "p:1", 9),
    ]


def test_a_password_is_not_written_and_a_hash_beside_it_may_be_old(converter: Converter):
    done = converter.convert(f'{LOGIN}Password "s3cret pw"\nPassNT 77B9081511704EE852F94227CF48A793\n')
    assert done.settings.nthash is None
    assert done.found.password_users == [""]
    assert "foreign.conf:4: Password: the password is not taken over" in done.lost
    assert "s3cret" not in done.ini + done.lost + "".join([*done.found.notes, *done.found.shown])


@pytest.mark.parametrize(
    ("lines", "listen", "port", "gateway"),
    [
        ("Listen 8118\n", "127.0.0.1, ::1", 8118, False),
        ("Listen 10.0.0.1:8118\nListen 8118\n", "10.0.0.1, 127.0.0.1, ::1", 8118, False),
        ("Listen [::1]:8118\nGateway yes\n", "::1", 8118, False),
        ("Listen 8118\nGateway no\n", "127.0.0.1, ::1", 8118, False),
        ("Listen 8118\nGateway yes\nDeny 10.0.0.1\n", "127.0.0.1, ::1", 8118, True),
    ],
)
def test_px_listens_no_wider_than_cntlm(converter: Converter, lines, listen, port, gateway):
    settings = converter.convert(LOGIN + lines).settings
    assert (str(settings.listen), settings.port, settings.gateway) == (listen, port, gateway)


@pytest.mark.parametrize(
    ("lines", "is_open"),
    [
        ("Listen 3128\nSOCKS5Proxy 1080\n", True),
        ("Listen 3128\nSOCKS5Proxy 127.0.0.1:1080\n", True),
        ("Listen 10.0.0.1:3128\nSOCKS5Proxy 10.0.0.1:1080\n", True),
        ("Listen 3128\nGateway yes\nDeny 10.0.0.1\nSOCKS5Proxy 1080\n", True),
        ("Listen 3128\nGateway yes\nDeny 10.0.0.1\nSOCKS5Proxy 127.0.0.1:1080\n", False),
        ("Listen 10.0.0.1:3128\nSOCKS5Proxy 1080\n", False),
        ("Listen 3128\nSOCKS5Proxy 1080\nSOCKS5User dave:s3cret\n", False),
    ],
)
def test_a_socks_port_is_not_opened_to_more_clients_than_before(converter: Converter, lines, is_open):
    done = converter.convert(LOGIN + lines)
    assert bool(done.settings.socks) == is_open
    assert ("--socks=1080" in done.lost) == (not is_open)
    assert "s3cret" not in done.lost


def test_a_pac_script_comes_before_the_proxies(converter: Converter):
    converter.write("[proxy]\nserver = old:1\n", "px.ini")
    pac = converter.write("function FindProxyForURL() {}", "my.pac")
    done = converter.convert(f"{LOGIN}Pac my.pac\n")
    assert (done.settings.pac, done.settings.proxy) == (str(pac), ())
    assert "Proxy is not taken over: the PAC script decides" in done.lost


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Proxy proxy.corp.example", "foreign.conf:4: Proxy: not of the form host:port"),
        ("Proxy a:99999", "Proxy=a:99999 (foreign.conf:4): "),
        ("Listen x", "foreign.conf:4: Listen: not a port"),
        ("Listen 99999", "Listen=99999 (foreign.conf:4): not a number from 1 to 65535"),
        ("Auth KERBEROS", "foreign.conf:4: Auth: unknown; valid is: NTLMv2"),
        ("PassNT 12", "foreign.conf:4: PassNT: not 32 hexadecimal digits"),
        ("Tunnel 22:host", "foreign.conf:4: Tunnel: not of the form"),
        ("Workstation a b", "Workstation=a b (foreign.conf:4): a computer name has no"),
        ("Deny 10/8", "foreign.conf:4: Deny: write a whole IPv4 address"),
        ("Deny host.example", "foreign.conf:4: Deny: write a whole IPv4 address"),
        ("Deny *", "foreign.conf:4: Deny: no client may use cntlm"),
    ],
)
def test_a_malformed_value_is_an_error_with_its_place(converter: Converter, line, message):
    assert converter.error(f"{LOGIN}{line}\n").startswith(message)


def test_a_list_of_many_lines_keeps_its_order_and_names_each_rule_once(converter: Converter):
    lines = "".join(f"NoProxy n{number % 2000}.test\n" for number in range(4000))
    done = converter.convert(f"{LOGIN}Proxy q:2\nProxy q:2\n{lines}")
    assert f"noproxy = {', '.join(f'=n{number}.test' for number in range(2000))}\n" in done.ini
    assert "server = proxy.corp.example:8080, q:2\n" in done.ini


def test_the_time_for_a_file_does_not_grow_with_the_square_of_its_lines(tmp_path):
    searches = 0

    class Entries(list[Entry]):
        def __iter__(self):
            nonlocal searches
            searches += 1
            return super().__iter__()

    draft = ImportDraft("f", Entries([Entry("Allow", "10.0.0.1", 1)] * 1000), tmp_path, 3128)
    for _ in range(1000):
        assert len(draft.all("allow", "deny")) == 1000
        assert draft.first("pac", "pacfile") is None
    assert searches == 2

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.config.actions import ACTIONS
from px.config.invocation import Invocation, load_settings
from px.config.option import Action, Option
from px.config.options import GROUPS, OPTIONS
from px.config.settings import Settings, default_settings
from px.core.auth.policy import AuthPolicy
from px.core.rules.access import LOCALHOST, ListenAddresses
from px.core.rules.route import UpstreamAddress
from px.core.secret import Secret
from px.core.startup_errors import ConfigError
from px.system.state import private_files
from tests.original_inis import ORIGINAL_INIS

ROOT = Path(__file__).resolve().parents[2]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX")


class Directories:
    """A working directory and a user's configuration directory for one test."""

    def __init__(self, tmp_path: Path) -> None:
        self.cwd = tmp_path / "work"
        self.user_dir = tmp_path / "user"
        for path in (self.cwd, self.user_dir):
            path.mkdir(mode=0o700)

    def ini(self, text: str, directory: Path | None = None) -> Path:
        return self.write("px.ini", text, directory)

    def dotenv(self, text: str) -> Path:
        return self.write(".env", text)

    def write(self, name: str, text: str, directory: Path | None = None) -> Path:
        path = (directory or self.cwd) / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def load(self, *argv: str, **environ: str) -> Invocation:
        return load_settings(argv, environ, self.cwd, (self.user_dir,))

    def settings(self, *argv: str, **environ: str) -> Settings:
        """Load with a ``--noproxy`` at the end of the arguments, so that Px knows a way to serve requests."""
        settings = self.load(*argv, "--noproxy=*", **environ).settings
        assert settings is not None
        return settings

    def error(self, *argv: str, **environ: str) -> str:
        with pytest.raises(ConfigError) as caught:
            self.load(*argv, **environ)
        message = str(caught.value)
        assert "\n" not in message
        return message


@pytest.fixture
def dirs(tmp_path):
    return Directories(tmp_path)


# The table


def test_every_option_is_a_field_of_the_settings():
    assert {field.name for field in dataclasses.fields(Settings)} == {option.name for option in OPTIONS}


def test_every_option_has_a_group_and_unique_names():
    assert {option.group for option in OPTIONS} == set(GROUPS)
    entries: list[Action | Option] = [*ACTIONS, *(option for option in OPTIONS if option.is_flag)]
    flags = [name for entry in entries for name in (entry.name, *entry.aliases)]
    flags += {switch for action in ACTIONS for switch in action.switches}
    variables = [variable for option in OPTIONS for variable in option.variables]
    assert len(set(flags)) == len(flags)
    assert len(set(variables)) == len(variables)


def test_the_defaults_are_those_of_the_specification(dirs):
    settings = dirs.settings()
    assert settings.proxy == ()
    assert settings.listen == ListenAddresses(LOCALHOST, frozenset(LOCALHOST[1:]))
    assert settings.port == 3128
    assert settings.allow.matches_everything
    assert (settings.useragent, settings.via, settings.username) == ("", True, "")
    assert settings.auth == AuthPolicy("ANY")
    assert (settings.password, settings.nthash) == (None, None)
    assert (settings.threads, settings.idle, settings.socktimeout) == (5, 30.0, 5.0)
    assert (settings.foreground, settings.verbose, settings.log) == (False, False, 0)


@pytest.mark.parametrize(
    ("command", "facts"),
    [
        ("px --proxy=proxyserver.com:80", {"listens_everywhere": False, "admits_own": False}),
        ("px --noproxy=0.0.0.0/0 --debug", {"log": 2, "goes_directly": True}),
        ("px --proxy=proxyserver.com:80 --hostonly", {"listens_everywhere": True, "admits_own": True}),
        (
            "px --proxy=proxyserver:80 --hostonly --gateway --allow=172.*.*.*",
            {"listens_everywhere": True, "admits_own": True, "admits_172": True, "admits_all": False},
        ),
        ("px --proxy=proxyserver.com:80 --gateway", {"listens_everywhere": True, "admits_all": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_examples_of_the_specification_have_their_specified_meaning(dirs, command, facts):
    settings = dirs.load(*shlex.split(command)[1:]).settings
    assert settings is not None
    access = settings.access
    known = {
        "log": settings.log,
        "goes_directly": settings.noproxy.matches_everything,
        "listens_everywhere": any(address.is_unspecified for address in access.listen),
        "admits_own": access.admits_own,
        "admits_172": access.admits("172.16.1.2", lambda _: False),
        "admits_all": access.admits("8.8.8.8", lambda _: False),
    }
    assert facts.items() <= known.items()


def test_default_settings_take_changes_by_name():
    assert default_settings(port=0).port == 0
    with pytest.raises(ConfigError, match="no such option: prot"):
        default_settings(prot=1)


# Command line


@pytest.mark.parametrize(
    "argv", [["--port=1"], ["--port", "1"], ["--PORT=1"], ["--port=2", "--port=1"]], ids=" ".join
)
@pytest.mark.shows("--port")
def test_a_value_follows_an_equals_sign_or_a_space(dirs, argv):
    assert dirs.settings(*argv).port == 1


@pytest.mark.parametrize("flag", ["--proxy", "--server"])
def test_proxy_and_server_are_the_same(dirs, flag):
    assert dirs.settings(f"{flag}=a:1,b").proxy == (
        UpstreamAddress("http", "a", 1),
        UpstreamAddress("http", "b", 80),
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--foreground"], True),
        (["--foreground=1"], True),
        (["--foreground", "0"], False),
        (["--foreground=no"], False),
        (["--foreground", "--port=1"], True),
    ],
    ids=str,
)
def test_a_bare_boolean_is_true_and_may_have_a_value(dirs, argv, expected):
    assert dirs.settings(*argv).foreground is expected


def test_a_value_may_have_equals_signs_and_dashes_in_it(dirs):
    assert dirs.settings("--useragent", "-a=b-c").useragent == "-a=b-c"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--prot=1"], "--prot: unknown option; did you mean --port?"),
        (
            ["proxy.corp:8080"],
            "unexpected argument; options begin with --; did you mean --proxy=proxy.corp:8080?",
        ),
        (
            ["--authretry=1"],
            "--authretry: an option of the original Px, which does nothing here; leave it out",
        ),
        (["--event-loop", "auto"], "--event_loop: an option of the original Px"),
        (["--no-proxy=x"], "--no-proxy: unknown option; did you mean --noproxy?"),
        (["--zzz"], "--zzz: unknown option; --help lists all"),
        (["--workers=0"], "--workers=0: not a number from 1 to 64"),
        (["-p"], "-p: unexpected argument"),
        (["-port=1"], "-port: unexpected argument; options begin with --; did you mean --port?"),
        (["proxy:80"], "proxy:80: unexpected argument"),
        (["--port"], "--port needs a value; valid is: a port number, 1 to 65535"),
        (["--port", "--debug"], "--port needs a value"),
        (["--port=70000"], "--port=70000: not a number from 1 to 65535; valid is: a port number, 1 to 65535"),
        (["--port="], "--port=: not a number"),
        (["--port=٣"], "--port=٣: not a number"),
        (["--server=h:0"], "--server=h:0: 'h:0': no valid port"),
        (["--listen=127.0.0.1:8080"], "give the port with --port"),
        (["--listen=a..b"], "'a..b' is not an IP address or a host name"),
        (["--listen=fe80::1%a$(b)"], "'fe80::1%a$(b)' is not an IP address or a host name"),
        (["--listen="], "--listen=: empty"),
        (["--allow=host"], "--allow=host: 'host' is not an address"),
        (["--allow="], "--allow=: empty, so no client could use Px"),
        (["--allow=10.0.0.0/40"], "'10.0.0.0/40' is not a network"),
        (["--allow=10.0.0.1,localhost"], "'localhost' is not an address, glob, range or network"),
        (["--auth=NTML"], "--auth=NTML: unknown login policy 'NTML'; did you mean NTLM?"),
        (["--socks=0"], "--socks=0: not a number from 1 to 65535"),
        (["--socks=socks5://h:1"], "--socks=socks5://h:1: not a number from 1 to 65535"),
        (["--tunnel=2222:h"], "--tunnel=2222:h: 2222:h: a tunnel is LPORT:HOST:PORT"),
        (["--noproxy=*", "--socks=3128"], "--socks: port 3128 is that of --port"),
        (["--noproxy=*", "--tunnel=1:h:1", "--client_auth=ANY"], "--tunnel=1:h:1: its clients cannot log in"),
        (["--noproxy=*", "--socks=1", "--client_auth=NTLM"], "--socks=1: SOCKS5 clients send their password"),
        (["--idle=-1"], "--idle=-1: out of range"),
        (["--idle=nan"], "--idle=nan: out of range"),
        (["--socktimeout=0"], "--socktimeout=0: out of range; valid is: seconds, more than 0"),
        (["--socktimeout=soon"], "--socktimeout=soon: not a number"),
        (["--threads=0"], "--threads=0: not a number from 1"),
        (["--log=6"], "--log=6: not a number from 0 to 5"),
        (["--via=maybe"], "--via=maybe: neither 0 nor 1"),
        (["--useragent=a\nb"], r"--useragent='a\nb': has characters"),
        (["--workstation=desk 7"], "--workstation=desk 7: a computer name has no ' ' in it; valid is: the"),
        (["--workstation=a\\b"], r"--workstation=a\b: a computer name has no '\\' in it"),
        (["--workstation=büro"], "--workstation=büro: a computer name has no 'Ü' in it"),
        (["--workstation=.a"], "--workstation=.a: a computer name does not begin with a dot"),
        (["--workstation=" + 16 * "a"], "--workstation=aaaaaaaaaaaaaaaa: longer than 15 characters"),
        (["--config=none.ini"], "--config=none.ini: no such file; valid is: the path of an existing file"),
        (["--version=1"], "--version takes no value"),
        (["--env=tcsh"], "--env=tcsh: unknown; valid is: sh, bash, zsh, fish, powershell"),
        (["--env=containers:undo"], "each may end with :undo; did you mean --env=container?"),
        (["--env=git:redo"], "--env=git:redo: unknown; valid is: sh, "),
        (["--env=:undo"], "--env=:undo: unknown; valid is: sh, bash, zsh, fish, "),
        (["--env", "tcsh"], "tcsh: unexpected argument"),
        (["--accesslog_format=xml"], "--accesslog_format=xml: unknown; valid is: px, json or combined"),
        (["-V", "--demo"], "--demo: only one action at a time, but --version was given"),
        (["-v"], "-v: unexpected argument; options begin with --"),
        (["--run", "curl"], "curl: write -- before the program: px --run -- curl"),
        (["--run"], "--run needs a program: px --run -- PROGRAM ARGUMENTS"),
        (["--run", "--"], "--run needs a program: px --run -- PROGRAM ARGUMENTS"),
        (["--port=1", "--", "curl"], "--: can only be used with --run"),
        (["--run", "--prot=1", "--", "curl"], "--prot: unknown option"),
        (["--demo", "--version"], "--version: only one action at a time, but --demo was given"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_error_for_a_wrong_argument_is_one_line_that_names_valid_values(dirs, argv, message):
    assert message in dirs.error(*argv)


@pytest.mark.parametrize(
    "argument",
    [
        "--proxy=http://alice:s3cret@h:1",
        "--password=s3cret",
        "--nthash=s3cret",
        "--username=alice:s3cret",
        "--pass=s3cret",
    ],
)
def test_a_secret_in_the_arguments_is_refused_and_not_shown(dirs, argument):
    assert "s3cret" not in dirs.error(argument)


def test_the_error_for_a_secret_argument_names_the_environment_variable(dirs):
    assert "set PX_NTHASH instead" in dirs.error("--nthash=x")


def test_a_tunnel_is_given_several_times_or_in_a_list_and_one_place_replaces_the_other(dirs):
    dirs.ini("[proxy]\nsocks = 1080\ntunnel = 1:a:1\n")
    assert [str(each) for each in dirs.settings().tunnel] == ["1:a:1"]
    given = dirs.settings("--tunnel=2:b:2", "--tunnel", "3:c:3, 4:d:4", PX_TUNNEL="5:e:5")
    assert [str(each) for each in given.tunnel] == ["2:b:2", "3:c:3", "4:d:4"]
    assert [str(each) for each in dirs.settings(PX_TUNNEL="5:e:5").tunnel] == ["5:e:5"]
    assert dirs.settings("--tunnel=").tunnel == ()


def test_socks_is_off_by_default_and_can_be_turned_off_again(dirs):
    assert dirs.settings().ports == ((3128, "--port"),)
    dirs.ini("[proxy]\nsocks = 1080\n")
    assert dirs.settings().socks == 1080
    assert dirs.settings(PX_SOCKS="1081").socks == 1081
    assert dirs.settings("--socks=").socks == 0


def test_clients_that_cannot_log_in_upstream_cause_a_warning(dirs):
    loaded = dirs.load("--noproxy=*", "--auth=NONE", "--socks=1080")
    assert loaded.warnings == (
        "--auth=NONE: the clients of --socks and --tunnel cannot log in at the upstream",
    )


def test_a_workstation_is_a_computer_name_in_upper_case(dirs):
    assert dirs.settings("--workstation= desk-7_x.y ").workstation == "DESK-7_X.Y"
    assert dirs.settings("--workstation=" + 15 * "a").workstation == 15 * "A"
    assert dirs.settings().workstation == ""


@posix_only
def test_kerberos_causes_a_warning_when_auth_forbids_it(dirs):
    loaded = dirs.load("--proxy=h", "--kerberos", "--auth=NTLM")
    assert not loaded.settings.kerberos
    assert loaded.warnings == ("--kerberos does nothing: --auth=NTLM allows no Kerberos",)
    assert dirs.settings("--kerberos", "--auth=NEGOTIATE").kerberos


@pytest.mark.skipif(sys.platform != "win32", reason="Windows gets tickets itself")
def test_kerberos_causes_a_warning_on_windows(dirs):
    loaded = dirs.load("--proxy=h", "--kerberos")
    assert not loaded.settings.kerberos
    assert "does nothing on Windows" in loaded.warnings[0]


def test_a_very_long_value_is_cut_in_the_error(dirs):
    assert len(dirs.error("--useragent=" + "ü" * 10_000)) < 400


@given(st.lists(st.text(max_size=12) | st.sampled_from(["--port", "--debug", "--demo"]), max_size=4))
def test_no_arguments_crash_the_parser(argv):
    with contextlib.suppress(ConfigError):
        load_settings(argv, {}, ROOT / "tests", ())


# Actions


@pytest.mark.parametrize(
    "argv", [["--help"], ["-h"], ["/?"], ["--bogus", "--help"], ["--port", "--HELP"]], ids=str
)
def test_help_wins_over_all_other_arguments(dirs, argv):
    assert dirs.load(*argv).action == "help"


@pytest.mark.parametrize(
    ("argv", "topic"),
    [
        (["--help"], ""),
        (["-h", "noproxy"], "noproxy"),
        (["--help=No-Proxy"], "No-Proxy"),
        (["--help", "--noproxy=x"], "noproxy"),
        (["--noproxy=x", "--help"], ""),
    ],
    ids=str,
)
def test_help_may_have_a_topic(dirs, argv, topic):
    assert dirs.load(*argv).action_value == topic


def test_help_finds_the_px_ini_in_use_without_reading_it(dirs):
    assert dirs.load("-h").config_file is None
    path = dirs.ini("[proxy]\nport = broken\n")
    assert dirs.load("-h").config_file == path


def test_the_demo_reads_only_the_command_line(dirs):
    dirs.ini("[proxy]\nport = broken\n")
    invocation = dirs.load("--demo", "--debug", PX_PORT="broken")
    assert invocation.action == "demo"
    assert invocation.settings is not None
    assert (invocation.settings.port, invocation.settings.log) == (3128, 2)


@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["--env"], ""),
        (["--env=fish"], "fish"),
        (["--env", "fish"], "fish"),
        (["--env", "--port=1"], ""),
        (["--env=PowerShell"], "powershell"),
        (["--env=undo"], "undo"),
        (["--env", "Git:undo"], "git:undo"),
    ],
    ids=str,
)
def test_an_action_may_have_a_value(dirs, argv, value):
    invocation = dirs.load(*argv)
    assert (invocation.action, invocation.action_value) == ("env", value)


def test_the_arguments_after_two_dashes_are_the_program(dirs):
    invocation = dirs.load("--run", "--port=7", "--", "git", "--help", "--", "--port=8")
    assert invocation.action == "run"
    assert invocation.program == ("git", "--help", "--", "--port=8")
    assert invocation.settings.port == 7
    assert not invocation.asks_for_new_px
    assert dirs.load("--run", "--proxy=h", "--", "git").asks_for_new_px


def test_an_action_that_needs_a_value_takes_the_next_argument(dirs):
    for argv in (["--explain=http://a/"], ["--explain", "http://a/"]):
        invocation = dirs.load(*argv, "--proxy=h")
        assert (invocation.action, invocation.action_value) == ("explain", "http://a/")
    for argv in (["--explain"], ["--explain="], ["--explain", "--proxy=h"]):
        assert dirs.error(*argv) == "--explain needs a value: --explain=URL"


@pytest.mark.parametrize("place", ["http://wpad/wpad.dat", "HTTPS://a/p", "data:,x", ""])
def test_a_pac_script_may_be_at_a_url(dirs, place):
    assert dirs.load(f"--pac={place}").settings.pac == place


def test_the_path_of_a_pac_script_becomes_absolute(dirs, monkeypatch):
    path = dirs.cwd / "proxy.pac"
    path.write_text("")
    monkeypatch.chdir(dirs.cwd)
    for place in ("proxy.pac", str(path), path.as_uri()):
        assert dirs.load(f"--pac={place}").settings.pac == str(path)


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--pac=none.pac", "no such file"),
        ("--pac=.", "a directory, not a file"),
        (
            "--pac=ftp://a/p.pac",
            "The PAC script ftp://a/p.pac cannot be loaded: Px does not support ftp: URLs",
        ),
        ("--pac_encoding=utf-9", "unknown character encoding 'utf-9'"),
        ("--pac_encoding=hex", "unknown character encoding 'hex'"),
        ("--proxyreload=0", "not a number from 1 to 86400"),
        ("--proxyreload=soon", "not a number from 1 to 86400"),
    ],
)
def test_an_invalid_option_of_the_pac_script_is_an_error(dirs, flag, reason):
    assert dirs.error(flag).startswith(f"{flag}: {reason}; valid is: ")


@pytest.mark.parametrize("place", ["http:///", "ftp://a/p.pac", "pac.test/p.pac"])
def test_no_error_shows_the_query_of_a_pac_script(dirs, place):
    said = dirs.error(f"--pac={place}?secret")
    assert said.startswith(f"--pac={place}?...: ")
    assert "secret" not in said


def test_the_options_of_pac_scripts_have_defaults_and_are_read_from_px_ini(dirs):
    settings = dirs.load("--pac_encoding=", "--proxy=h").settings
    assert (settings.pac, settings.pac_encoding, settings.proxyreload) == ("", "auto", 60)
    dirs.ini("[proxy]\npac = http://a/\npac_encoding = CP1252\n[settings]\nproxyreload = 7\n")
    settings = dirs.load().settings
    assert (settings.pac, settings.pac_encoding, settings.proxyreload) == ("http://a/", "cp1252", 7)


@pytest.mark.parametrize("flag", ["--client_username=alice", ""])
def test_credentials_for_clients_that_need_no_login_cause_a_warning(dirs, flag):
    flags = [flag] if flag else []
    environ = {} if flag else {"PX_CLIENT_PASSWORD": "pw"}
    (warning,) = dirs.load("--proxy=h", *flags, **environ).warnings
    assert warning == "clients have a password or user but need not log in; give --client_auth=ANY, too"
    assert dirs.load("--proxy=h", *flags, "--client_auth=ANY", **environ).warnings == ()


def test_the_login_of_clients_is_configured_by_px_ini_and_the_environment(dirs):
    dirs.ini("[client]\nclient_auth = NTLM, DIGEST\nclient_username = CORP\\alice\nclient_nosspi = 1\n")
    settings = dirs.load("--proxy=h", PX_CLIENT_PASSWORD="geheim").settings
    assert settings is not None
    assert str(settings.client_auth) == "NTLM,DIGEST"
    assert (settings.client_username, settings.client_nosspi) == ("CORP\\alice", True)
    assert settings.client_password == Secret("geheim")
    assert "geheim" not in repr(settings)


# Precedence


def test_the_command_line_beats_the_environment_beats_dotenv_beats_px_ini(dirs):
    dirs.ini("[proxy]\nport = 1\nlisten = 10.0.0.1\nuseragent = ini\nusername = ini\nnoproxy = *\n")
    dirs.dotenv("PX_PORT=2\nPX_LISTEN=10.0.0.2\nPX_USERAGENT=dotenv\n")
    environ = {"PX_PORT": "3", "PX_LISTEN": "10.0.0.3"}
    settings = dirs.load("--port=4", **environ).settings
    assert settings is not None
    assert settings.port == 4
    assert settings.listen.addresses == (ip_address("10.0.0.3"),)
    assert settings.useragent == "dotenv"
    assert settings.username == "ini"
    assert settings.idle == 30


def test_an_empty_value_on_the_command_line_overrides_the_environment(dirs):
    assert dirs.settings("--username=", PX_USERNAME="alice").username == ""


# Environment


@pytest.mark.parametrize("variable", ["PX_PROXY", "PX_SERVER"])
def test_two_environment_variables_can_name_the_upstreams(dirs, variable):
    settings = dirs.settings(**{variable: "http://alice:s3cret@h:1"})
    assert settings.proxy[0].username == "alice"
    assert settings.proxy[0].password == Secret("s3cret")
    assert "s3cret" not in repr(settings)


def test_secrets_come_from_the_environment_and_are_in_no_repr(dirs):
    settings = dirs.settings(PX_PASSWORD=" s3cret ", PX_NTHASH="A" * 32)
    assert settings.password == Secret(" s3cret ")
    assert settings.nthash == Secret("a" * 32)
    assert "s3cret" not in repr(settings)
    assert "a" * 32 not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PX_PORT": "x"}, "PX_PORT=x (in the environment): not a number from 1 to 65535"),
        ({"PX_NTHASH": "s3cret"}, "PX_NTHASH=*** (in the environment): not 32 hexadecimal digits"),
        ({"PX_PASSWORD": "s3cret\udce4"}, "PX_PASSWORD=*** (in the environment): has bytes that"),
        ({"PX_PROXY": "a:s3cret@h:x"}, "PX_PROXY=*** (in the environment): entry 1: no valid port"),
        ({"PX_PAC": "ftp://a:s3cret@h/"}, "PX_PAC=*** (in the environment): The PAC script ftp://h/ "),
        ({"PX_ALLOW": ""}, "PX_ALLOW= (in the environment): empty"),
        ({"PX_CONFIG": "none.ini"}, "PX_CONFIG=none.ini (in the environment): no such file"),
    ],
    ids=str,
)
def test_an_error_in_the_environment_names_the_variable_and_hides_secrets(dirs, environ, message):
    assert dirs.error("--proxy=h" if "PX_PROXY" not in environ else "--debug", **environ).startswith(message)


def test_an_empty_variable_counts_as_not_set(dirs):
    assert dirs.settings(PX_PORT="", PX_USERNAME="").port == 3128


def test_a_misspelt_variable_causes_a_warning_and_a_foreign_one_does_not(dirs):
    warnings = dirs.load("--proxy=h", PX_PROT="1", PX_HEIGHT="10px", PX_WORKERS="2").warnings
    assert warnings == ("PX_PROT (in the environment): unknown; did you mean PX_PORT?",)


# .env


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("PX_USERAGENT=a b", "a b"),
        ("PX_USERAGENT = a", "a"),
        ("export PX_USERAGENT=a", "a"),
        ("  PX_USERAGENT=a  # why", "a"),
        ("PX_USERAGENT=a#b", "a#b"),
        ("PX_USERAGENT='a # b'  # why", "a # b"),
        (r"PX_USERAGENT='a\n$b'", r"a\n$b"),
        (r'PX_USERAGENT="a \"b\" \\ $c"', r'a "b" \ $c'),
        ("PX_USERAGENT=", ""),
        ("PX_USERAGENT=# nothing", ""),
        ("#PX_USERAGENT=a", ""),
        ("OTHER=a\nanything at all\n'\nPX_USERAGENT=a", "a"),
        ("\ufeffPX_USERAGENT=a", "a"),
    ],
    ids=repr,
)
def test_dotenv_lines_are_read_as_a_shell_would(dirs, line, expected):
    dirs.dotenv(line + "\n")
    assert dirs.settings().useragent == expected


@pytest.mark.parametrize("line", ["PX_PORT", "PX_PORT='1", 'PX_PORT="1" 2', "export PX_PORT 1"])
def test_a_malformed_line_for_px_in_dotenv_is_an_error_with_its_place(dirs, line):
    path = dirs.dotenv(f"# comment\n{line}\n")
    assert dirs.error() == f"{path}:2: not a line of the form PX_NAME=value"


def test_the_error_for_a_wrong_value_in_dotenv_names_its_line(dirs):
    path = dirs.dotenv("A=1\nPX_PORT=x\n")
    assert dirs.error().startswith(f"PX_PORT=x ({path}:2): not a number")


def test_a_misspelt_variable_in_dotenv_causes_a_warning(dirs):
    path = dirs.dotenv("PX_NO_PROXY=h\n")
    assert dirs.load("--proxy=h").warnings == (f"PX_NO_PROXY ({path}): unknown; did you mean PX_NOPROXY?",)


def test_dotenv_can_name_the_px_ini(dirs):
    dirs.dotenv("PX_CONFIG=other.ini\n")
    other = dirs.write("other.ini", "[proxy]\nport = 7\n")
    assert dirs.settings().port == 7
    assert dirs.settings().config == other


# px.ini


@pytest.mark.parametrize("text", ORIGINAL_INIS.values(), ids=ORIGINAL_INIS)
def test_a_px_ini_of_the_original_px_loads_unchanged(dirs, text):
    path = dirs.ini(text)
    invocation = dirs.load()
    settings = invocation.settings
    assert settings is not None
    assert invocation.config_file == settings.config == path
    assert str(settings.proxy[0]) == "http://proxy.corp.example:8080"
    assert (settings.port, settings.idle, settings.auth.name) == (3129, 30, "ANY")
    assert settings.allow.matches_everything
    assert settings.noproxy.matches_name("10.1.2.3", 80)
    assert invocation.warnings == ()


def test_keys_of_a_later_original_px_have_the_same_meaning_here(dirs):
    dirs.ini(ORIGINAL_INIS["0.12"])
    settings = dirs.load().settings
    assert settings is not None
    assert (settings.username, settings.threads, settings.socktimeout) == ("CORP\\alice", 32, 20)
    assert settings.noproxy.matches_name("www.corp.example", 443)
    assert settings.log == 3


def test_an_unknown_key_causes_a_warning_with_file_and_line(dirs):
    path = dirs.ini(
        "; comment\n[proxy]\nserver = h\n\nprot : 1\nport = 5\n[settings]\nusername=x\nprinters = 2\n"
    )
    invocation = dirs.load()
    assert invocation.settings is not None
    assert invocation.settings.port == 5
    assert invocation.warnings == (
        f"{path}:5: unknown key [proxy] prot; did you mean port?",
        f"{path}:8: unknown key [settings] username; it belongs in [proxy]",
        f"{path}:9: unknown key [settings] printers",
    )


def test_the_warning_for_a_line_without_an_equals_sign_shows_how_to_write_it(dirs):
    path = dirs.ini("[proxy]\nserver proxy.corp.example:8080\n")
    (warning,) = dirs.load("--proxy=h").warnings
    assert warning == f"{path}:2: unknown key [proxy] server proxy.corp.example; write server = ..."


def test_the_warning_for_a_password_in_px_ini_does_not_show_it(dirs):
    dirs.ini("[proxy]\nserver = h\npassword = s3cret\n")
    (warning,) = dirs.load().warnings
    assert "s3cret" not in warning


def test_px_ini_may_have_percent_signs_capitals_and_a_byte_order_mark(dirs):
    dirs.ini("\ufeff[Proxy]\nServer = http://a:p%40s%25@h:1\nUserAgent = 100% x\n")
    settings = dirs.load().settings
    assert settings is not None
    assert settings.proxy[0].password == Secret("p@s%")
    assert settings.useragent == "100% x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[proxy]\nport = x\n", "port=x ({path}:2): not a number from 1 to 65535; valid is: a port number"),
        ("port = 1\n", "{path}:1: this line comes before any section"),
        ("[proxy]\nport\n", "{path}:2: neither [section] nor key = value"),
        ("[proxy]\nport = 1\nport = 2\n", "{path}:3: port is set a second time; keep one of the two"),
        ("[proxy]\n[proxy]\n", "{path}:2: [proxy] begins a second time; put its lines under the first one"),
        ("[proxy]\nnthash = s3cret\n", "nthash=*** ({path}:2): not 32"),
        ("[proxy]\nserver = u:s3cret@h:x\n", "server=*** ({path}:2): entry 1: no valid port"),
        ("[proxy]\nallow =\n", "allow= ({path}:2): empty"),
    ],
    ids=lambda value: value.splitlines()[-1],
)
def test_an_error_in_px_ini_names_its_file_and_line(dirs, text, message):
    path = dirs.ini(text)
    assert dirs.error().startswith(message.format(path=path))


@posix_only
@pytest.mark.parametrize("name", ["px.ini", ".env"])
def test_a_file_that_cannot_be_read_is_an_error(ordinary_user, name):
    dirs = Directories(ordinary_user)
    path = dirs.write(name, "")
    path.chmod(0)
    assert dirs.error() == f"{path}: cannot be read: Permission denied"


# Where px.ini is found


def test_px_ini_in_the_working_directory_comes_before_that_of_the_user(dirs):
    theirs = dirs.ini("[proxy]\nport = 2\n", dirs.user_dir)
    assert dirs.settings().config == theirs
    mine = dirs.ini("[proxy]\nport = 1\n")
    assert dirs.settings().config == mine


@pytest.mark.shows("--config")
def test_px_reads_only_the_px_ini_that_config_names(dirs):
    dirs.ini("[proxy]\nport = 1\nuseragent = x\n")
    named = dirs.write("named.ini", "[proxy]\nport = 2\n")
    settings = dirs.settings("--config", "named.ini", PX_CONFIG="none.ini")
    assert (settings.port, settings.useragent, settings.config) == (2, "", named)
    assert dirs.settings(PX_CONFIG=str(named)).port == 2


@posix_only
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_working_directory_that_others_can_write_to_is_not_trusted(dirs, mode):
    ini, dotenv = dirs.ini("[proxy]\nport = 1\n"), dirs.dotenv("PX_IDLE=1\n")
    theirs = dirs.ini("[proxy]\nport = 2\n", dirs.user_dir)
    dirs.cwd.chmod(mode)
    invocation = dirs.load("--proxy=h")
    assert invocation.settings is not None
    assert (invocation.settings.port, invocation.settings.idle) == (2, 30)
    assert invocation.config_file == theirs
    reason = f"is not used: everybody can write to {dirs.cwd}"
    assert set(invocation.warnings) == {f"{ini} {reason}", f"{dotenv} {reason}"}


@posix_only
def test_a_px_ini_that_others_can_write_to_is_not_trusted(dirs):
    dirs.ini("[proxy]\nport = 1\n").chmod(0o666)
    invocation = dirs.load("--proxy=h")
    assert invocation.config_file is None
    assert "everybody can write to" in invocation.warnings[0]


@posix_only
def test_a_shared_group_is_not_trusted_but_a_private_one_is(dirs, monkeypatch):
    dirs.ini("[proxy]\nport = 1\n")
    dirs.cwd.chmod(0o770)
    monkeypatch.setattr("px.system.state.private_files._is_private_group", lambda _gid: False)
    assert "a group of users can write to" in dirs.load("--proxy=h").warnings[0]
    monkeypatch.setattr("px.system.state.private_files._is_private_group", lambda _gid: True)
    assert dirs.load("--proxy=h").warnings == ()


@posix_only
def test_a_private_group_is_named_after_the_user_and_has_no_other_members():
    grp, pwd = pytest.importorskip("grp"), pytest.importorskip("pwd")
    me = pwd.getpwuid(os.getuid()).pw_name
    expected = {g.gr_gid for g in grp.getgrall() if g.gr_name == me and set(g.gr_mem) <= {me}}
    assert {g.gr_gid for g in grp.getgrall() if private_files._is_private_group(g.gr_gid)} == expected
    assert not private_files._is_private_group(2**31 - 5)


@posix_only
@pytest.mark.skipif(
    getattr(os, "getuid", lambda: 1)() != 0, reason="only root can change the owner of a file"
)
def test_a_file_or_directory_of_another_user_is_not_trusted(dirs):
    path = dirs.ini("[proxy]\nport = 1\n")
    os.chown(path, 12345, 12345)
    assert dirs.load("--proxy=h").warnings == (f"{path} is not used: {path} belongs to another user",)
    os.chown(dirs.cwd, 12345, 12345)
    assert dirs.load("--proxy=h").warnings == (f"{path} is not used: {dirs.cwd} belongs to another user",)


# Combinations


@pytest.mark.parametrize(
    ("argv", "environ", "log", "verbose"),
    [
        ([], {}, 0, False),
        (["--debug"], {}, 2, False),
        (["--uniqlog"], {}, 3, False),
        (["--uniqlog", "--debug"], {}, 3, False),
        (["--debug", "--uniqlog"], {}, 3, False),
        (["--verbose"], {}, 4, True),
        (["--log=4"], {}, 4, True),
        (["--verbose", "--debug"], {}, 2, True),
        (["--uniqlog", "--verbose"], {}, 3, True),
        (["--verbose", "--log=5"], {}, 5, True),
        (["--log=5", "--debug"], {}, 5, False),
        (["--log=1", "--debug"], {}, 1, False),
        (["--log=4", "--debug"], {}, 2, True),
        ([], {"PX_LOG": "5"}, 5, False),
        (["--debug"], {"PX_LOG": "5"}, 2, False),
        (["--verbose"], {"PX_LOG": "3"}, 3, True),
        (["--log=0"], {"PX_LOG": "3"}, 0, False),
    ],
    ids=str,
)
@pytest.mark.shows("--debug", "--uniqlog", "--verbose", "--log")
def test_the_four_logging_options_combine(dirs, argv, environ, log, verbose):
    settings = dirs.settings(*argv, **environ)
    assert (settings.log, settings.verbose, settings.foreground) == (log, verbose, verbose)


def test_fewer_than_three_threads_become_three_with_a_warning(dirs):
    invocation = dirs.load("--proxy=h", "--threads=1")
    assert invocation.settings is not None
    assert invocation.settings.threads == 3
    assert invocation.warnings == ("threads=1: Px needs 3 and uses 3",)


@pytest.mark.parametrize("source", ["flag", "variable", "dotenv", "ini"])
def test_an_invalid_noproxy_rule_is_left_out_with_a_warning_that_names_its_place(dirs, source):
    odd, argv, environ, place = "a,10.0.0.0/40,b..c", [], {}, " (in the environment)"
    key = "PX_NOPROXY"
    if source == "flag":
        argv, key, place = [f"--noproxy={odd}"], "--noproxy", ""
    elif source == "variable":
        environ = {"PX_NOPROXY": odd}
    elif source == "dotenv":
        dirs.dotenv(f"PX_NOPROXY={odd}\n")
        place = f" ({dirs.cwd / '.env'}:1)"
    else:
        path = dirs.ini(f"[proxy]\nnoproxy = {odd}\n")
        key, place = "noproxy", f" ({path}:2)"
    loaded = dirs.load("--proxy=p:1", *argv, **environ)
    assert loaded.settings.noproxy.matches_name("a", 80)
    assert loaded.warnings == (
        f"{key}{place}: '10.0.0.0/40' is not a network; write address/length, as in 192.168.0.0/24; left out",
        f"{key}{place}: 'b..c' is not a host name, domain or address; left out",
    )


def test_listen_takes_several_ipv4_and_ipv6_addresses(dirs):
    assert dirs.settings("--listen=127.0.0.1, ::1,[::1]").listen.addresses == (
        ip_address("127.0.0.1"),
        ip_address("::1"),
    )


# Common mistakes


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('"CORP\\alice"', "has quotes"),
        ("'CORP\\alice'", "has quotes"),
        ("CORP\\\\alice", "one backslash"),
        ("CORP/alice", "one backslash"),
        ("alice:secret", "a colon"),
    ],
)
def test_a_user_name_that_cannot_exist_is_an_error(dirs, written, reason):
    dirs.ini(f"[proxy]\nserver = h:1\nusername = {written}\n")
    assert reason in dirs.error()


@pytest.mark.parametrize(
    "name", ["CORP\\alice", "alice@CORP.EXAMPLE", "alice/admin@CORP", "o'neill", "jürgen"]
)
def test_usual_forms_of_user_names_are_accepted(dirs, name):
    assert dirs.settings(f"--username={name}").username == name


def test_a_password_that_ends_with_a_line_break_is_an_error(dirs):
    message = dirs.error("--proxy=h", "--username=u", PX_PASSWORD="s3cret\n")
    assert "ends with a line break" in message
    assert "s3cret" not in message


def test_the_warning_for_a_password_in_px_ini_says_where_to_store_it(dirs):
    dirs.ini("[proxy]\nserver = h:1\npassword = s3cret\n")
    (warning,) = dirs.load().warnings
    assert "px --password" in warning
    assert "s3cret" not in warning


def test_missing_certificates_cause_a_warning(dirs):
    missing = str(dirs.cwd / "none.pem")
    invocation = dirs.load("--proxy=https://h", SSL_CERT_FILE=missing, SSL_CERT_DIR=str(dirs.cwd))
    assert invocation.warnings == (f"SSL_CERT_FILE={missing} (in the environment): no such file",)


@pytest.mark.parametrize("char", ["\x1b", "\n", "\x9b"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pac", "http://h/p{}.pac"),
        ("accesslog", "a{}.log"),
        ("username", "al{}ice"),
        ("client_username", "al{}ice"),
        ("workstation", "PC{}1"),
        ("useragent", "a{}b"),
        ("proxy", "al{}ice@h:1"),
        ("proxy", "h{}x:1"),
        ("listen", "::1{}x"),
        ("allow", "10.0.0.1{}x"),
        ("auth", "NT{}LM"),
        ("pac_encoding", "utf{}8"),
        ("tunnel", "1:h{}x:2"),
    ],
)
def test_no_option_has_control_characters(dirs, name, text, char):
    """They would become lines of px.ini and of logs, and commands for terminals."""
    given = {"PX_PROXY": "h:1", f"PX_{name.upper()}": text.format(char)}
    assert dirs.error(**given).isprintable()


@pytest.mark.parametrize("text", ["http//proxy", "proxy:80 # ours"])
def test_a_bad_proxy_of_the_command_line_names_the_form_and_no_comment(dirs: Directories, text: str) -> None:
    error = dirs.error(f"--proxy={text}")
    assert "write HOST:PORT, for example proxy.corp.example:8080" in error
    assert "comment" not in error

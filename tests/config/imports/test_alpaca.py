"""Scripts that start alpaca."""

from __future__ import annotations

import getpass

from px.core.secret import Secret

from .conversion import Converter

HASH = "823893adfad2cda6e1a414f3ebdf58f7"
SCRIPT = f"""\
#!/bin/sh
export NTLM_CREDENTIALS="me@MYDOMAIN:{HASH}"
# alpaca -p 1 was the old one
exec /usr/local/bin/alpaca -l localhost \\
   -l=127.0.0.1 -p 3130 -C http://wpad.corp.example/proxy.pac -q -new x >> "$HOME/log" 2>&1 &
"""


def test_a_script_becomes_a_px_ini_that_loads_without_a_warning(converter: Converter):
    done = converter.convert(SCRIPT)
    settings = done.settings
    assert (done.found.kind, done.warnings) == ("a script that starts alpaca", ())
    assert (settings.port, settings.pac) == (3130, "http://wpad.corp.example/proxy.pac")
    assert (settings.username, settings.nthash) == ("MYDOMAIN\\me", Secret(HASH))
    reason = "Px does not know this flag of alpaca; look for its purpose in px --help=all"
    assert done.lost == f"foreign.conf:4: -new is not taken over: {reason}"
    assert HASH not in "".join(done.found.shown)


def test_with_a_domain_alpaca_asks_for_a_password_and_uses_no_hash(converter: Converter):
    done = converter.convert(f"NTLM_CREDENTIALS=me@A:{HASH}\nExecStart=/opt/alpaca -d CORP\n")
    assert (done.settings.username, done.settings.nthash) == (f"CORP\\{getpass.getuser()}", None)
    assert done.found.password_users == [""]


def test_a_malformed_value_is_an_error_with_its_place(converter: Converter):
    assert converter.error(
        "alpaca -p x\n"
    ) == "-p=x (foreign.conf:1): not a number from 1 to 65535; valid is: " + ("a port number, 1 to 65535")
    assert "not a script that starts alpaca that can be read: No closing" in converter.error("alpaca -C 'x\n")
    error = converter.error("alpaca -p 1\nNTLM_CREDENTIALS=s3cret\n")
    assert error == (
        "foreign.conf:2: NTLM_CREDENTIALS: not of the form user@DOMAIN:hash, with 32 hexadecimal digits"
    )

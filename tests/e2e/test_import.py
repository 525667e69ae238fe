"""A cntlm.conf with hashes, imported: Px logs in at a real upstream with the hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from px.core.auth.ntlm.md4 import nt_hash
from px.core.auth.ntlm.proof import response_key
from tests.corpnet.network import CorporateNetwork
from tests.px_process import PxProcess, run_action

from . import exchanges
from .http_client import Client
from .squid_watch import Watch, bad_passwords

CONF = """\
# as cntlm -H prints it
Username	{user}
Domain		ADTEST
PassNT		{hash}
PassNTLMv2	{key}	# Only for user '{user}', domain 'ADTEST'
Auth		NTLMv2
Proxy		localhost:{port}
Listen		3128
"""


def invert(data: bytes) -> str:
    """Return a hash as most versions of cntlm write it."""
    return bytes(byte ^ 0xFF for byte in data).hex().upper()


@pytest.mark.shows("--import")
def test_the_hash_of_a_cntlm_conf_logs_in(network: CorporateNetwork, tmp_path: Path) -> None:
    bob, watch = network.ad.bob, Watch(network.ntlm)
    secret = nt_hash(bob.password)
    key = response_key(secret, bob.name, "ADTEST")
    conf = CONF.format(user=bob.name, hash=invert(secret), key=invert(key), port=network.ntlm.port)
    (tmp_path / "cntlm.conf").write_text(conf, encoding="utf-8")
    done = run_action(tmp_path, "--import=cntlm.conf")
    assert (done.returncode, done.stderr) == (0, "")
    assert secret.hex() not in done.stdout
    with bad_passwords(network, bob), PxProcess(tmp_path, "--verbose") as px:
        with Client(px.port) as client:
            exchanges.get(client, network)
            exchanges.open_tunnel(client, network)
        users = {entry.user for entry in watch.entries(answered=2) if entry.status == 200}
        assert users == {f"ADTEST\\{bob.name}"}
        assert "warning" not in px.output.lower()
        assert secret.hex() not in px.output

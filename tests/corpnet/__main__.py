"""The network by hand: `python -m tests.corpnet up` or `... selftest`."""

# ruff: noqa: T201 - this is a command line, which prints

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time

from .network import CorporateNetwork
from .packages import missing_packages
from .selftest import run_selftest
from .system_programs import INSTALL_SCRIPT


def _up() -> int:
    """Start the network, describe it, and keep it until Ctrl-C."""
    started = time.monotonic()
    with CorporateNetwork() as network:
        print(_description(network))
        print(f"# up in {time.monotonic() - started:.1f} s; Ctrl-C ends it", flush=True)
        signal.pause()
    return 0


def _selftest() -> int:
    """Start the network, check it, and stop it."""
    started = time.monotonic()
    with CorporateNetwork() as network:
        print(f"up in {time.monotonic() - started:.1f} s", flush=True)
        count, complaints = run_selftest(network)
        for complaint in complaints:
            print(f"BAD {complaint}")
        print(f"{count} checks, {len(complaints)} bad", flush=True)
    return 1 if complaints else 0


def _description(network: CorporateNetwork) -> str:
    """Return the ports and users as lines for a shell."""
    lines = ["# Proxies"]
    lines += [
        f"export {upstream.name.upper()}={upstream.url}  # {', '.join(upstream.schemes) or 'no login'}"
        for upstream in (*network.mit_upstreams, *network.ad_upstreams)
    ]
    lines += ["# Origin; its names are known to the proxies only"]
    lines += [f"export ORIGIN={network.origin.url(host='origin.test')}"]
    lines += [f"export ORIGIN_TLS={network.origin.tls_url(host='origin.test')}"]
    lines += ["# Users"]
    for realm, users in (("MIT", network.mit.users), ("AD", network.ad.users)):
        for user in users:
            name = user.name.replace("ü", "ue").upper()
            lines += [f"export {realm}_{name}={shlex.quote(user.password)}"]
    lines += ["# Trust; and KRB5_CONFIG for either realm"]
    lines += [f"export CA_FILE={network.ca_file}"]
    lines += [f"export MIT_KRB5_CONFIG={network.mit.realm.krb5_config}"]
    lines += [f"export AD_KRB5_CONFIG={network.ad.realm.krb5_config}"]
    return "\n".join(lines)


def main() -> int:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpnet", description=__doc__)
    commands = {"up": _up, "selftest": _selftest}
    parser.add_argument("command", choices=commands)
    command = commands[parser.parse_args().command]
    if missing := missing_packages():
        print(f"missing: {', '.join(missing)}; run {INSTALL_SCRIPT}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return command()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())

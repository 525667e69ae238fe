"""A real corporate network on loopback, for end-to-end tests.

It has an Active Directory domain (Samba: Kerberos, NTLM, lock-out counters), an
MIT Kerberos realm, Squids that require every login scheme, and an origin server.
It keeps its files in one private directory, listens on loopback only, takes free
ports, runs as root or as an ordinary user, and leaves nothing behind after `stop()`.

    with CorporateNetwork() as network:
        mark = network.ntlm.log.mark()
        ...  # at network.ntlm.url, as network.ad.alice, get network.origin.url("/bytes/1000")
        assert network.ntlm.log.count_407(mark) == 1

By hand: `python -m tests.corpnet up` or `python -m tests.corpnet selftest`.
The packages it needs: `tests/corpnet/install_packages.sh`.
"""

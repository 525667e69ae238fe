"""The options for logins: those of Px at upstreams, and those of clients at Px."""

from __future__ import annotations

from functools import partial
from typing import Final

from px.config.option import Option
from px.config.values import (
    parse_auth,
    parse_boolean,
    parse_nthash,
    parse_secret,
    parse_username,
    parse_workstation,
)
from px.core.auth.policy import POLICY_NAMES

LOGIN: Final = "Login"
CLIENT: Final = "Login of clients"

LOGIN_OPTIONS: Final = (
    Option(
        name="username",
        group=LOGIN,
        section="proxy",
        key="username",
        metavar="USER",
        valid="DOMAIN\\user or user@REALM",
        help="User to log in as at the upstream: DOMAIN\\user or user@REALM. Empty: the user who is logged "
        "in to this computer.",
        parse=parse_username,
        hides=lambda text: ":" in text,
    ),
    Option(
        name="workstation",
        group=LOGIN,
        section="proxy",
        key="workstation",
        metavar="NAME",
        valid="the computer's NetBIOS name: at most 15 letters, digits and hyphens",
        help="Computer name to send in NTLM logins with a password or hash. Empty: the host name.",
        parse=parse_workstation,
    ),
    Option(
        name="auth",
        group=LOGIN,
        section="proxy",
        key="auth",
        default="ANY",
        metavar="POLICY",
        valid="ANY, ANYSAFE, NONE, a scheme (NEGOTIATE, KERBEROS, NTLM, DIGEST, BASIC), "
        "or that with NO, ONLY, SAFENO before it",
        help="Login schemes that Px may use at the upstream: ANY, ANYSAFE (all but Basic), NEGOTIATE "
        "(Kerberos, else NTLM inside Negotiate), KERBEROS, NTLM, DIGEST, BASIC, or NONE (Px does not log "
        "in; the client logs in at the upstream by itself). A prefix changes the meaning of a scheme: NO "
        "(all but this one), ONLY (only this one), SAFENO (ANYSAFE without this one).",
        parse=parse_auth,
        choices=POLICY_NAMES,
    ),
    Option(
        name="kerberos",
        group=LOGIN,
        section="proxy",
        key="kerberos",
        default="0",
        valid="0 or 1",
        help="Get a Kerberos ticket with the password of --username and renew it. Px gets the ticket when "
        "it starts and keeps it in memory; tickets of kinit are not used. Not needed on Windows, which gets "
        "and renews tickets itself.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="password",
        group=LOGIN,
        key="password",
        metavar="TEXT",
        valid="a text",
        help="Password of --username. If it is set, Px uses neither PX_NTHASH nor a password in the keyring.",
        parse=parse_secret,
        is_flag=False,
        hides=lambda _: True,
    ),
    Option(
        name="nthash",
        group=LOGIN,
        section="proxy",
        key="nthash",
        metavar="HASH",
        valid="32 hexadecimal digits",
        help="NT hash of the password of --username: enough to log in with NTLM. Guard it like the password.",
        parse=parse_nthash,
        is_flag=False,
        hides=lambda _: True,
    ),
    Option(
        name="client_auth",
        group=CLIENT,
        section="client",
        key="client_auth",
        default="NONE",
        metavar="POLICY",
        valid="NONE, ANY, ANYSAFE, schemes (NEGOTIATE, KERBEROS, NTLM, DIGEST, BASIC) with commas between "
        "them, or one with NO, ONLY, SAFENO before it",
        help="How clients, also those on this computer, have to log in at Px: NONE (they need not), ANY, "
        "ANYSAFE (all but Basic), or a comma separated list of NEGOTIATE (Kerberos, or NTLM inside "
        "Negotiate), KERBEROS, NTLM, DIGEST, BASIC. The prefixes are those of --auth. Px offers only "
        "schemes that it can check: Kerberos needs a keytab (KRB5_KTNAME), the others need a password "
        "(--client-password or PX_CLIENT_PASSWORD). On Windows, NEGOTIATE and NTLM admit the users of "
        "Windows.",
        parse=partial(parse_auth, is_list_valid=True),
        choices=POLICY_NAMES,
    ),
    Option(
        name="client_username",
        group=CLIENT,
        section="client",
        key="client_username",
        metavar="USER",
        valid="DOMAIN\\user, user@REALM or user",
        help="The only user that clients may log in as: DOMAIN\\user, user@REALM or user. Empty: any user "
        "with a password in the keyring, any user that gives PX_CLIENT_PASSWORD, any user with a Kerberos "
        "ticket, any user of Windows.",
        parse=parse_username,
        hides=lambda text: ":" in text,
    ),
    Option(
        name="client_nosspi",
        group=CLIENT,
        section="client",
        key="client_nosspi",
        default="0",
        valid="0 or 1",
        help="On Windows, check logins of clients with PX_CLIENT_PASSWORD only; users of Windows are not "
        "admitted by their Windows password.",
        parse=parse_boolean,
        is_boolean=True,
    ),
    Option(
        name="client_password",
        group=CLIENT,
        key="client_password",
        metavar="TEXT",
        valid="a text",
        help="Password of --client_username. Without --client_username, every client logs in with this "
        "password. If it is set, Px does not use a password in the keyring.",
        parse=parse_secret,
        is_flag=False,
        hides=lambda _: True,
    ),
)

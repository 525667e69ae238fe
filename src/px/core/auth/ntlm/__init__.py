"""NTLM, NTLMv2 only (MS-NLMP): the messages, and the two sides that exchange them.

There are three messages (MS-NLMP 1.3.1.1)::

    client -> NEGOTIATE     flags
    client <- CHALLENGE     8 random bytes, target information
    client -> AUTHENTICATE  names, response, MIC

Px is the client of upstreams (`px.core.auth.ntlm.client`), and the server of its own clients
(`px.core.auth.ntlm.verifier`). Both sides use the same structures (`messages`, `target_info`) and the same
functions of the secret (`proof`).
"""

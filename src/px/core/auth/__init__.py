"""Schemes and messages of logins, for both sides: challenges, Digest, NTLM, SPNEGO, policies."""

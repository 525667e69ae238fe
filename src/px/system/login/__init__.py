"""Logins by the operating system: Kerberos, SSPI, NTLM, the keyring."""

"""Logins of Px at upstreams, and the guard that keeps accounts from being locked.

===============  =============================================================================
word             meaning
===============  =============================================================================
secret           a password, an NT hash or a ticket: what Px makes tokens of
token            what Px sends after the name of a scheme; the answer to a *final* token is a verdict
verdict          what the upstream, or a KDC, says to a final token: accepted or refused
refused          the verdict that the secret is wrong; sometimes a rule about the target is the reason
denial           a refusal that Px takes for such a rule: the first one of a secret that was accepted
lost             a final token was sent, and nobody saw the verdict on it
charged          counted in the record of the account, before the token is sent
budget           how many charged tokens an account may have out, refused or lost
blocked          of an account whose budget is used up: Px sends no token until the block is over
retry            one token that a person has Px send in spite of a block (``--reload``)
login gate       lets one charged login of an account through at a time, over all processes
verification     a login with a request that the upstream itself answers, so that no rule about
                 targets and no slow origin can disturb the verdict
not contacted    of an upstream that has not answered yet, so that its schemes are not known
untrusted        of an upstream without TLS that only a PAC script names: Px does not show it a password
                 in clear
===============  =============================================================================

The rule of the budget: Px charges a token to its account before it sends the token, unless the secret was
just accepted. An acceptance refunds what was charged before the accepted token was; it refunds only its own
charge if a token was refused or lost after that, for the secret may have been changed in between, or if the
upstream had not asked for it: perhaps nobody looked at it. A handshake charges its token again if an
acceptance refunded the charge before the final token. Between two acceptances one token is out at a time
(two, if the second is a verification), and at most two are out, refused or lost. When these two are used up,
Px waits before each further token: 30 minutes after refusals and twice as long each time, up to a day; 1, 5,
then 30 minutes after lost verdicts.

How far Px trusts a secret depends on when this process saw the secret accepted, and on what came after that:

===================  ===================================  ===========================================
grade                means                                allows
===================  ===================================  ===========================================
just accepted        accepted a moment ago: 0.1 to 0.5 s  one login at a time without a charge
accepted lately      accepted in the last 20 s; no token  another token 0.25 s after one without a
                     of the account was denied, refused   verdict; connections logged in ahead;
                     or lost since                        Digest by a nonce of an earlier request
was accepted last    accepted at any time; no token of    another token 1 s after one without a
                     the account was refused or lost      verdict
                     since
may lose more        accepted in the last 4 hours         four lost verdicts before a block, if no
                                                          token was refused; otherwise two
was accepted         accepted at any time                 the next refusal may be a denial
===================  ===================================  ===========================================

A secret that was not accepted lately is *uncertain*.
"""

from __future__ import annotations

import pytest

from px.core.auth.policy import POLICY_NAMES, AuthPolicy, Scheme

SCHEMES: tuple[Scheme, ...] = ("negotiate", "kerberos", "ntlm", "digest", "basic")


def allowed(name: str) -> str:
    """Return the schemes a policy allows, ``+`` for NTLM inside Negotiate."""
    return allowed_by(AuthPolicy.parse(name))


def allowed_by(policy: AuthPolicy) -> str:
    inside = ["+"] if policy.allows_ntlm_in_negotiate else []
    return " ".join([*(scheme for scheme in SCHEMES if policy.allows(scheme)), *inside])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ANY", "negotiate kerberos ntlm digest basic +"),
        ("ANYSAFE", "negotiate kerberos ntlm digest +"),
        ("NEGOTIATE", "negotiate kerberos +"),
        ("KERBEROS", "negotiate kerberos"),
        ("NTLM", "ntlm"),
        ("DIGEST", "digest"),
        ("BASIC", "basic"),
        ("NONE", ""),
        ("ONLYNEGOTIATE", "negotiate kerberos +"),
        ("ONLYKERBEROS", "negotiate kerberos"),
        ("ONLYNTLM", "ntlm"),
        ("ONLYDIGEST", "digest"),
        ("ONLYBASIC", "basic"),
        ("NONEGOTIATE", "ntlm digest basic"),
        ("NOKERBEROS", "negotiate ntlm digest basic +"),
        ("NONTLM", "negotiate kerberos digest basic"),
        ("NODIGEST", "negotiate kerberos ntlm basic +"),
        ("NOBASIC", "negotiate kerberos ntlm digest +"),
        ("SAFENONEGOTIATE", "ntlm digest"),
        ("SAFENOKERBEROS", "negotiate ntlm digest +"),
        ("SAFENONTLM", "negotiate kerberos digest"),
        ("SAFENODIGEST", "negotiate kerberos ntlm +"),
        ("SAFENOBASIC", "negotiate kerberos ntlm digest +"),
    ],
)
def test_a_policy_allows_what_its_name_says(name, expected):
    assert allowed(name) == expected
    assert allowed(f" {name.lower()} ") == expected


def test_the_table_above_has_every_policy():
    marks = test_a_policy_allows_what_its_name_says.pytestmark
    assert {row[0] for row in marks[0].args[1]} == set(POLICY_NAMES)


def test_only_none_leaves_the_login_to_the_client():
    assert [name for name in POLICY_NAMES if AuthPolicy.parse(name).is_none] == ["NONE"]


def test_basic_goes_in_clear_only_when_asked_for_alone():
    assert [name for name in POLICY_NAMES if AuthPolicy.parse(name).basic_in_clear] == ["BASIC", "ONLYBASIC"]


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_an_untrusted_upstream_gets_a_password_only_where_the_user_named_basic(name):
    policy = AuthPolicy.parse(name)
    untrusted = policy.for_untrusted
    assert untrusted.allows("basic") is policy.basic_in_clear
    assert untrusted.allows_ntlm_in_negotiate is policy.allows_ntlm_in_negotiate
    for scheme in ("negotiate", "kerberos", "ntlm", "digest"):
        assert untrusted.allows(scheme) is policy.allows(scheme)


@pytest.mark.parametrize("name", ["", "NTLM2", "NO", "ONLY", "NOANY", "ONLYNONE", "NTLM,BASIC", "SAFE"])
def test_other_names_are_errors(name):
    with pytest.raises(ValueError, match="unknown login policy"):
        AuthPolicy.parse(name)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("ntlm, basic", "NTLM,BASIC", "ntlm basic"),
        ("NEGOTIATE,DIGEST,NEGOTIATE", "NEGOTIATE,DIGEST", "negotiate kerberos digest +"),
        ("KERBEROS,NTLM", "KERBEROS,NTLM", "negotiate kerberos ntlm"),
        ("SAFENONTLM", "SAFENONTLM", "negotiate kerberos digest"),
    ],
)
def test_a_list_allows_all_that_it_names(text, name, expected):
    policy = AuthPolicy.parse_list(text)
    assert str(policy) == name
    assert allowed_by(policy) == expected


@pytest.mark.parametrize("text", ["NTLM,", "ANY,BASIC", "NTLM,NOBASIC", "NONE,NTLM", "NTLM BASIC", ""])
def test_a_list_holds_nothing_but_schemes(text):
    with pytest.raises(ValueError, match="unknown login"):
        AuthPolicy.parse_list(text)

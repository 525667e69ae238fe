"""Challenges in, credentials out."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from px.core.auth.challenge import MAX_CHALLENGES, Challenge, format_basic, format_token, parse_challenges
from px.core.errors import LoginUnusableError


def one(line: bytes) -> Challenge:
    (challenge,) = parse_challenges([line])
    return challenge


def test_bare_schemes_over_several_lines_come_in_their_order():
    found = parse_challenges([b"Negotiate", b"NTLM, Basic realm=x"])
    assert [each.scheme for each in found] == ["negotiate", "ntlm", "basic"]


def test_a_scheme_without_anything_has_neither_token_nor_params():
    assert one(b"NTLM") == Challenge("ntlm", None, {})


def test_a_token68_is_decoded():
    assert one(b"NTLM TlRMTVNTUAACAAAA").token == b"NTLMSSP\0\x02\0\0\0"


def test_a_token68_without_its_padding_is_decoded():
    assert one(b"Negotiate YII").token == b"`\x82"


def test_a_token68_ends_at_the_comma():
    first, second = parse_challenges([b"Negotiate YII= ,NTLM"])
    assert (first.token, second) == (b"`\x82", Challenge("ntlm", None, {}))


def test_a_challenge_whose_token_is_no_base64_still_names_its_scheme():
    assert parse_challenges([b"NTLM A, Basic realm=x"]) == [
        Challenge("ntlm", b"", {}),
        Challenge("basic", None, {"realm": "x"}),
    ]


def test_commas_inside_quotes_separate_nothing():
    found = parse_challenges([b'Digest realm="a, NTLM, b", nonce=x, Basic realm="c"'])
    assert found == [
        Challenge("digest", None, {"realm": "a, NTLM, b", "nonce": "x"}),
        Challenge("basic", None, {"realm": "c"}),
    ]


def test_the_example_of_rfc_9110_is_two_challenges():
    line = rb'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""'
    assert parse_challenges([line]) == [
        Challenge("basic", None, {"realm": "simple"}),
        Challenge("newauth", None, {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
    ]


def test_whitespace_around_the_equals_sign_is_bad_but_read():
    assert one(b'Digest realm = "r" ,\tNONCE =n').params == {"realm": "r", "nonce": "n"}


def test_an_unquoted_nonce_may_end_in_equals_signs():
    assert one(b"Digest realm=r, nonce=abc==, qop=auth").params["nonce"] == "abc=="


def test_of_a_repeated_parameter_the_first_is_used():
    assert one(b'Digest realm="a", Realm="b"').params == {"realm": "a"}


def test_utf8_in_a_realm_is_text():
    assert one('Basic realm="Büro"'.encode()).params == {"realm": "Büro"}


def test_latin1_in_a_realm_can_be_given_back_byte_for_byte():
    realm = one(b'Basic realm="B\xfcro"').params["realm"]
    assert realm.encode("utf-8", "surrogateescape") == b"B\xfcro"


def test_a_quote_that_never_closes_costs_the_rest_of_its_line_only():
    found = parse_challenges([b'Digest nonce=n, realm="r, NTLM', b"NTLM"])
    assert found == [Challenge("digest", None, {"nonce": "n"}), Challenge("ntlm", None, {})]


@pytest.mark.parametrize("garbage", [b"", b",,,", b" \t", b"=", b'"', b'"a', b"\x00", b"a=b", b"(x), =y"])
def test_garbage_holds_no_challenge(garbage):
    assert parse_challenges([garbage]) == []


def test_a_challenge_after_garbage_is_found():
    assert one(b'"x, y", NTLM').scheme == "ntlm"


@given(st.lists(st.binary(max_size=80), max_size=3))
@example([b'a="\\'])
@example([b'Digest x="\\", y'])
def test_no_input_raises(lines):
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()


@given(st.text(st.sampled_from('Negotiate NTLM="\\,=aQ /'), max_size=60))
def test_no_input_of_the_grammars_own_characters_raises(text):
    parse_challenges([text.encode()])


@given(st.binary(min_size=1, max_size=60))
def test_a_formatted_token_reads_back(token):
    assert one(format_token(b"Negotiate", token)) == Challenge("negotiate", token, {})


@given(st.dictionaries(st.sampled_from(["realm", "nonce", "opaque"]), st.text(max_size=20), min_size=1))
def test_quoted_parameters_read_back(params):
    escapes = str.maketrans({'"': r"\"", "\\": r"\\"})
    quoted = [f'{name}="{value.translate(escapes)}"' for name, value in params.items()]
    assert one(f"Digest {', '.join(quoted)}".encode()).params == params


def test_a_long_line_of_quotes_takes_linear_time():
    # 64 KiB; at quadratic cost this takes minutes.
    assert parse_challenges([b'a="\\",' * 11_000]) == []


def test_basic_is_utf8():
    credentials = format_basic("jürgen", "Pässwörd1€")
    assert b64decode(credentials.removeprefix(b"Basic ")).decode() == "jürgen:Pässwörd1€"


def test_basic_with_a_colon_in_the_password_is_fine():
    assert format_basic("a", "b:c") == b"Basic " + b64encode(b"a:b:c")


@pytest.mark.parametrize(
    ("user", "password"), [("a:b", "Zq9"), ("a", "Zq9\n"), ("a\0", "Zq9"), ("a", "Zq9\udc80")]
)
def test_basic_that_cannot_be_sent_is_unusable_and_keeps_the_secret(user, password):
    with pytest.raises(LoginUnusableError) as caught:
        format_basic(user, password)
    assert "Zq9" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_number_of_challenges_is_bounded():
    found = parse_challenges([b"a " * 1000, b"Negotiate"])
    assert len(found) == len(parse_challenges([b"Basic"] * 100)) == MAX_CHALLENGES


@pytest.mark.parametrize("part", [b"a ", b"a=b ", b"a=b,", b"= ,", b'"",'])
def test_no_answer_takes_more_than_a_bounded_number_of_parts(part: bytes):
    """An answer of 60 KB with one part every two bytes would hold up all clients."""
    assert "late" in [each.scheme for each in parse_challenges([part * 40, b"late"])]
    assert "late" not in [each.scheme for each in parse_challenges([part * 30_000, b"late"])]
    assert "late" not in [each.scheme for each in parse_challenges([*[part * 500] * 4, b"late"])]

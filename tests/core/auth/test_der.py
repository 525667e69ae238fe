"""Elements of DER."""

from __future__ import annotations

import pytest

from px.core.auth.der import OID, SEQUENCE, DerError, expect, format_der, read_element, read_whole


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "3000"), (127, "307f"), (128, "308180"), (255, "3081ff"), (256, "30820100"), (70_000, "3083011170")],
)
def test_an_element_is_read_as_it_was_written(size, head):
    element = format_der(SEQUENCE, bytes(size))
    assert element.startswith(bytes.fromhex(head))
    assert read_whole(element) == (SEQUENCE, bytes(size))
    assert read_element(element + b"rest") == (SEQUENCE, bytes(size), b"rest")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("", "cut short"),
        ("30", "cut short"),
        ("3001", "cut short"),
        ("308201", "cut short"),
        ("3080", "odd form"),
        ("30850000000001", "odd form"),
        ("300000", "behind"),
    ],
)
def test_malformed_elements_are_errors(data, reason):
    with pytest.raises(DerError, match=reason):
        read_whole(bytes.fromhex(data))


def test_another_tag_than_expected_is_an_error():
    assert expect((OID, b"x"), OID) == b"x"
    with pytest.raises(DerError, match="another type"):
        expect((OID, b"x"), SEQUENCE)

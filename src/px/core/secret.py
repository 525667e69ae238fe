"""A text that must not be shown."""

from __future__ import annotations


class Secret:
    """A password or hash that is shown as ``***`` when it is printed, logged or formatted.

    `Secret` is not a `str`, so no join, format or JSON encoder takes it by accident. Only `reveal` returns
    the text, and is easy to search for. Two secrets are equal if their texts are (a reload compares them).

    Args:
        text: The text.
        place: Where the secret was found, for people; empty if the caller names the place.
    """

    __slots__ = ("_text", "place")

    def __init__(self, text: str, place: str = "") -> None:
        self._text = text
        self.place = place

    def reveal(self) -> str:
        """Return the text itself; never store it in anything that has a `repr`."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

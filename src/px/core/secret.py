"""A text that must not be seen."""

from __future__ import annotations


class Secret:
    """A password or hash that shows as ``***`` wherever it is printed, logged or formatted.

    It is not a `str`, so that no join, format or JSON encoder takes it by accident; `reveal` is the one way
    to the text and easy to search for. Equality is that of the texts (settings are compared on reload).
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

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

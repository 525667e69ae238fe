"""``px --explain=URL``: the route that a request would take, as lines on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from px.checks import explain as explanation
from px.system.process.line_width import break_line

if TYPE_CHECKING:
    from px.config.settings import Settings

_MARGIN: Final = 12


async def explain(
    settings: Settings, url: str, tell: Callable[[str], object], columns: int | None = None
) -> bool:
    """Tell which route a request for a URL would take, and why; return whether Px would send it on.

    Args:
        settings: The settings of Px.
        url: A URL or host; see `px.checks.target.parse_url`.
        tell: Takes each line.
        columns: The width of the terminal that shows the lines; None: do not break lines.

    Raises:
        ConfigError: Px cannot read the URL.
    """

    def show(name: str, text: str) -> None:
        for line in break_line(f"{name:<{_MARGIN}}{text}", columns, _MARGIN):
            tell(line)

    return await explanation.explain(settings, url, show)

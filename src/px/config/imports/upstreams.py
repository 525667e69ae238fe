"""Takes over upstreams with a login, as other programs write them: without their passwords."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from px.config.imports.draft import Entry, ImportDraft
from px.core.rules.route import UpstreamAddress, parse_upstreams


def take_upstreams(draft: ImportDraft, entry: Entry, text: str) -> None:
    """Set the upstreams of a list; a user that all of them share becomes the user of Px.

    Raises:
        ConfigError: An entry of the list cannot be read.
    """
    try:
        upstreams = parse_upstreams(text)
    except ValueError as error:
        raise draft.refuse(entry, str(error)) from None
    users = {upstream.username for upstream in upstreams}
    known = draft.given.get("username")
    is_shared = len(users) == 1 and not any(upstream.is_socks for upstream in upstreams)
    is_shared = is_shared and (known is None or known.text in users)
    if is_shared and "" not in users and known is None:
        draft.take("username", entry, users.pop())
    for user in dict.fromkeys(upstream.username for upstream in upstreams if upstream.password):
        draft.drop_password(entry, "" if is_shared else user)
    draft.take("proxy", entry, format_upstreams(upstreams, with_users=not is_shared))


def format_upstreams(upstreams: Sequence[UpstreamAddress], *, with_users: bool) -> str:
    """Return a list of upstreams as px.ini has it, without passwords."""
    shown: Callable[[UpstreamAddress], str] = _with_user if with_users else _without_user
    return ", ".join((f"{each.urls}=" if each.urls else "") + shown(each) for each in upstreams)


def _with_user(upstream: UpstreamAddress) -> str:
    user = f"{quote(upstream.username, safe='')}@" if upstream.username else ""
    return f"{upstream.scheme}://{user}{upstream.authority}"


def _without_user(upstream: UpstreamAddress) -> str:
    return upstream.authority if upstream.scheme == "http" else str(upstream)

"""Git over HTTP: clone and push by the smart protocol."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.site import Site
from tests.clients.way import Way
from tests.corpnet.payload import payload_bytes

SIZE = 3_000_000  # size of the big file; the default of http.postBuffer is 1 MiB
QUIET = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@test",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@test",
}


@pytest.fixture
def repository(site: Site, place: Place) -> Path:
    """Create a repository that accepts every push and has one big file."""
    need("git")
    bare, work = site.directory / "git" / "project.git", place.directory / "first"
    _git(place, "init", "-q", "--bare", "-b", "main", bare)
    _git(place, "-C", bare, "config", "http.receivepack", "true")
    _git(place, "init", "-q", "-b", "main", work)
    (work / "big").write_bytes(payload_bytes(SIZE))
    for number in range(200):
        (work / f"small-{number}").write_text(f"content {number}\n")
    _git(place, "-C", work, "add", ".")
    _git(place, "-C", work, "commit", "-q", "-m", "first")
    _git(place, "-C", work, "push", "-q", bare, "main")
    return bare


def _git(place: Place, *arguments: str | Path, **env: str) -> str:
    return place.run("git", *arguments, env={**QUIET, **env})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_git_clones_and_pushes(way: Way, site: Site, place: Place, repository: Path, scheme: str) -> None:
    env = {**way.proxy_env, "GIT_SSL_CAINFO": str(way.network.ca_file)}
    url, clone = site.url("/git/project.git", scheme), place.directory / "clone"
    _git(place, "clone", "-q", url, clone, **env)
    assert (clone / "big").read_bytes() == payload_bytes(SIZE)
    assert sorted(path.name for path in clone.glob("small-*")) == sorted(
        f"small-{number}" for number in range(200)
    )
    # This content does not compress, so the pack is long.
    content = hashlib.shake_128(scheme.encode()).digest(SIZE)
    (clone / "new").write_bytes(content)
    _git(place, "-C", clone, "add", ".")
    _git(place, "-C", clone, "commit", "-q", "-m", "second")
    _git(place, "-C", clone, "push", "-q", "origin", "main", **env)
    assert _git(place, "-C", repository, "log", "--format=%s", "main").split() == ["second", "first"]
    pushed = _git(place, "-C", repository, "rev-parse", "main:new")
    assert pushed == _git(place, "-C", clone, "hash-object", "new")
    assert _git(place, "-C", repository, "fsck", "--full", "--strict") == ""
    _check_requests(way, site, scheme)


def _check_requests(way: Way, site: Site, scheme: str) -> None:
    posts = [seen for seen in site.seen if seen.method == "POST"]
    uploads = [seen for seen in posts if seen.path.endswith("/git-receive-pack")]
    assert max(seen.length for seen in uploads) > SIZE
    assert uploads[-1].headers["transfer-encoding"] == "chunked"
    if scheme == "https":
        authority = site.authority("https")
        way.arrived(*[f"CONNECT {authority}"] * 2)  # one by the clone, one by the push
        return
    project = site.url("/git/project.git")
    way.arrived(
        f"GET {project}/info/refs?service=git-upload-pack",
        *[f"POST {project}/git-upload-pack"] * 2,  # ls-refs, fetch
        f"GET {project}/info/refs?service=git-receive-pack",
        *[f"POST {project}/git-receive-pack"] * len(uploads),
    )
    assert all("proxy.test" in seen.headers["via"] for seen in site.seen)

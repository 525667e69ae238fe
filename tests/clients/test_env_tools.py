"""The tools for which ``px --env`` prints settings use them: their requests come to the proxy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from px.cli.env.endpoint import Endpoint
from px.cli.env.output import KINDS
from tests.clients.program import Place, need

APT_HELPER = "/usr/lib/apt/apt-helper"
#: A project whose parent is in a repository.
_POM = """
<project>
  <modelVersion>4.0.0</modelVersion>
  <parent><groupId>example</groupId><artifactId>{name}</artifactId><version>1</version><relativePath/></parent>
  <artifactId>child</artifactId>
  <repositories><repository><id>site</id><url>{url}</url></repository></repositories>
</project>
"""
#: Two downloads, and a package from a repository.
_BUILD = """
repositories { maven { url "http://site.example/repo" } }
configurations { wanted }
dependencies { wanted "example:away:1" }
task get {
    doLast {
        new URL("http://site.example/a").text
        new URL("http://localhost:%d/b").text
        configurations.wanted.files
    }
}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.create(tmp_path / "place")


class Answers(BaseHTTPRequestHandler):
    """Answers every request, and notes it with its port."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Be silent."""


class Server(ThreadingHTTPServer):
    """A proxy, or an origin, and the requests that came to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.requests: list[str] = []

    @property
    def endpoint(self) -> Endpoint:
        """This server, as the Px that the settings name."""
        listen = [f"127.0.0.1:{self.server_port}"]
        return Endpoint.of_running({"listen": listen, "noproxy": "", "clients_log_in": False})


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def proxy() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def origin() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.mark.shows("--env")
def test_git_uses_px(place, proxy):
    need("git")
    place.run("sh", "-c", use("git", proxy))
    place.run("git", "ls-remote", "http://site.example/r.git")
    assert proxy.requests[0] == "GET http://site.example/r.git/info/refs"
    place.run("sh", "-c", undo("git"))
    place.run("git", "config", "--global", "--get", "http.proxy", code=1)


@pytest.mark.shows("--env")
def test_npm_uses_px(place, proxy):
    need("npm", "node")
    place.run("sh", "-c", use("npm", proxy))
    limits = ("--fetch-retries=0", "--update-notifier=false")
    place.run("npm", "view", "--registry=http://site.example/", *limits, "a", code=None)
    assert "GET http://site.example/a" in proxy.requests
    place.run("sh", "-c", undo("npm"))
    assert not (place.home / ".npmrc").exists()  # with its last setting


@pytest.mark.shows("--env")
def test_pip_uses_px(place, proxy, tmp_path):
    pip = tmp_path / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
    pip.chmod(0o700)
    path = {"PATH": f"{pip.parent}:{place.environment()['PATH']}"}
    place.run("sh", "-c", use("pip", proxy), env=path)
    limits = ("--retries=0", "--disable-pip-version-check", "--trusted-host=site.example")
    place.run(pip, "download", *limits, "--index-url=http://site.example/simple/", "a", env=path, code=None)
    assert "GET http://site.example/simple/a/" in proxy.requests
    place.run("sh", "-c", undo("pip"), env=path)
    assert "proxy" not in (place.home / ".config" / "pip" / "pip.conf").read_text()


@pytest.mark.shows("--env")
def test_wget_uses_px_except_for_this_computer(place, proxy, origin):
    need("wget")
    wgetrc = place.home / ".wgetrc"
    wgetrc.write_text("tries = 1\n")
    with wgetrc.open("a") as file:
        file.write(use("wget", proxy) + "\n")
    urls = "http://site.example/", f"http://localhost:{origin.server_port}/"
    assert place.run("wget", "-qO-", *urls) == "okok"
    assert (proxy.requests, origin.requests) == (["GET http://site.example/"], ["GET /"])
    place.run("sh", "-c", undo("wget"))
    assert wgetrc.read_text() == "tries = 1\n"


@pytest.mark.shows("--env")
def test_apt_uses_px_except_for_this_computer(place, proxy, origin):
    need("apt-get")
    config = place.home / "apt.conf"
    config.write_text(f'{use("apt", proxy)}\nAPT::Sandbox::User "root";\n')
    for url in ("http://site.example/a", f"http://localhost:{origin.server_port}/b"):
        place.run(APT_HELPER, "download-file", url, "got", env={"APT_CONFIG": str(config)})
        (place.directory / "got").unlink()
    assert (proxy.requests, origin.requests) == (["GET http://site.example/a"], ["GET /b"])


@pytest.mark.shows("--env")
def test_maven_uses_px_except_for_this_computer(place, proxy, origin):
    """Maven 3.8 blocks repositories without TLS, but for its own global settings: so it gets empty ones."""
    need("mvn")
    settings = place.home / ".m2" / "settings.xml"
    settings.parent.mkdir()
    settings.write_text(use("maven", proxy))
    (place.directory / "global.xml").write_text("<settings/>")
    # Java takes the home from the system's list of users, not from the environment.
    java = {"MAVEN_OPTS": f"-Duser.home={place.home}"}
    for name, site in (("away", "http://site.example"), ("here", f"http://localhost:{origin.server_port}")):
        (place.directory / "pom.xml").write_text(_POM.format(name=name, url=f"{site}/repo"))
        place.run("mvn", "-q", "-gs", "global.xml", "validate", env=java, code=None)
    assert proxy.requests[0] == "GET http://site.example/repo/example/away/1/away-1.pom"
    assert "GET /repo/example/here/1/here-1.pom" in origin.requests
    assert not any("localhost" in each for each in proxy.requests)


@pytest.mark.shows("--env")
def test_gradle_uses_px_except_for_this_computer(place, proxy, origin):
    need("gradle")
    properties = place.home / ".gradle" / "gradle.properties"
    properties.parent.mkdir()
    properties.write_text(use("gradle", proxy) + "\n")
    (place.directory / "build.gradle").write_text(_BUILD % origin.server_port)
    place.run("gradle", "-g", properties.parent, "--no-daemon", "-q", "get", code=None)
    path = "http://site.example/repo/example/away/1/away-1.pom"
    assert proxy.requests[:2] == ["GET http://site.example/a", f"GET {path}"]
    assert origin.requests == ["GET /b"]


def use(kind: str, server: Server) -> str:
    return "\n".join(KINDS[kind].use(server.endpoint.values))


def undo(kind: str) -> str:
    return "\n".join(KINDS[kind].undo())

"""Package managers: pip, npm, apt."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.clients.program import Place, need
from tests.clients.site import HOST, Site
from tests.clients.way import Way
from tests.corpnet.payload import payload_bytes

SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])
CONTENT = payload_bytes(700_001)


def _expected(site: Site, scheme: str, *paths: str) -> list[str]:
    """Return the requests that the Squid must have seen: one for each file, or one tunnel for all files."""
    if scheme == "https":
        return [f"CONNECT {site.authority('https')}"]
    return [f"GET {site.url(path)}" for path in paths]


@SCHEMES
def test_pip_downloads_a_wheel(way: Way, site: Site, place: Place, scheme: str) -> None:
    name = "px_test_wheel-1.0-py3-none-any.whl"
    wheel = _make_wheel()
    digest = hashlib.sha256(wheel).hexdigest()
    site.add(f"/wheels/{name}", wheel)
    site.add("/simple/px-test-wheel/index.html", f'<a href="/wheels/{name}#sha256={digest}">'.encode())
    trust = ["--cert", way.network.ca_file] if scheme == "https" else ["--trusted-host", HOST]
    place.run(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--no-input", "-d", "got"),
        *("--disable-pip-version-check", "--index-url", site.url("/simple/", scheme), *trust),
        "px-test-wheel==1.0",
        env={**way.proxy_env, "PIP_CONFIG_FILE": os.devnull},
    )
    assert (place.directory / "got" / name).read_bytes() == wheel
    way.arrived(*_expected(site, scheme, "/simple/px-test-wheel/", f"/wheels/{name}"))


def _make_wheel() -> bytes:
    about = "px_test_wheel-1.0.dist-info"
    files = {
        "px_test_wheel.py": b"ANSWER = 42\n",
        "px_test_wheel.bin": CONTENT,
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: px-test-wheel\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


@SCHEMES
def test_npm_installs_a_package(way: Way, site: Site, place: Place, scheme: str) -> None:
    need("npm", "node")
    package = _make_npm_package()
    tarball = "/npm/px-test-package/-/px-test-package-1.0.0.tgz"
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    version = {
        "name": "px-test-package",
        "version": "1.0.0",
        "dist": {"tarball": site.url(tarball, scheme), "integrity": integrity},
    }
    about = {"name": "px-test-package", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    site.add(tarball, package)
    site.add("/npm-metadata/px-test-package", json.dumps(about).encode())
    settings = {
        "registry": site.url("/npm-metadata/", scheme),
        "proxy": way.px.url,
        "https-proxy": way.px.url,
        "cafile": str(way.network.ca_file),
        "cache": str(place.home / "npm-cache"),
        "audit": "false",
        "fund": "false",
        "update-notifier": "false",
        "fetch-retries": "0",
    }
    userconfig = place.home / "npmrc"
    userconfig.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (place.directory / "package.json").write_text('{"name": "app", "version": "1.0.0", "private": true}')
    place.run(
        *("npm", "install", f"--userconfig={userconfig}", f"--globalconfig={os.devnull}", "px-test-package")
    )
    installed = place.directory / "node_modules" / "px-test-package"
    assert (installed / "data.bin").read_bytes() == CONTENT
    lock = json.loads((place.directory / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/px-test-package"]["integrity"] == integrity
    way.arrived(*_expected(site, scheme, "/npm-metadata/px-test-package", tarball))


def _make_npm_package() -> bytes:
    files = {
        "package/package.json": json.dumps({"name": "px-test-package", "version": "1.0.0"}).encode(),
        "package/data.bin": CONTENT,
    }
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


_APT_CONFIGURATION = """\
Dir "{root}";
Dir::State::status "{root}/status";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{root}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Sandbox::User "";
APT::Architecture "{architecture}";
Acquire::Languages "none";
Acquire::Retries "0";
Acquire::http::Proxy "{proxy}";
Acquire::https::Proxy "{proxy}";
Acquire::https::CAInfo "{ca_file}";
"""
PACKAGES = ("px-one", "px-two", "px-three")


@SCHEMES
def test_apt_updates_and_downloads(way: Way, site: Site, place: Place, tmp_path: Path, scheme: str) -> None:
    need("apt-get", "dpkg-deb", "dpkg")
    debs = {name: _make_deb(place, tmp_path, name) for name in PACKAGES}
    index = "\n".join(_describe_deb(name, deb) for name, deb in debs.items())
    site.add("/apt/Packages", index.encode())
    digest = hashlib.sha256(index.encode()).hexdigest()
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")
    release = f"Suite: test\nDate: {date}\nSHA256:\n {digest} {len(index)} Packages\n"
    site.add("/apt/Release", release.encode())
    for name, deb in debs.items():
        site.add(f"/apt/{name}.deb", deb)
    env = _configure_apt(way, site, place, tmp_path, scheme)
    updated = place.run("apt-get", "update", env=env)
    assert "Err:" not in updated
    assert "W:" not in updated
    place.run("apt-get", "download", *PACKAGES, env=env)
    for name, deb in debs.items():
        assert (place.directory / f"{name}_1.0_all.deb").read_bytes() == deb
    paths = ["/apt/./Packages", *(f"/apt/./{name}.deb" for name in PACKAGES)]
    expected = _expected(site, scheme, *paths)
    way.arrived(*expected)


def _configure_apt(way: Way, site: Site, place: Place, tmp_path: Path, scheme: str) -> dict[str, str]:
    """Return an environment in which apt uses only the packages of the site."""
    root = tmp_path / "apt"
    for name in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "etc/apt"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    (root / "sources.list").write_text(f"deb [trusted=yes] {site.url('/apt', scheme)} ./\n")
    architecture = place.run("dpkg", "--print-architecture").strip()
    configuration = root / "apt.conf"
    configuration.write_text(
        _APT_CONFIGURATION.format(
            root=root, architecture=architecture, proxy=way.px.url, ca_file=way.network.ca_file
        )
    )
    return {"APT_CONFIG": str(configuration)}


def _make_deb(place: Place, tmp_path: Path, name: str) -> bytes:
    tree = tmp_path / "deb" / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "data").write_bytes(hashlib.shake_128(name.encode()).digest(400_000))
    (tree / "DEBIAN" / "control").write_text(_control(name))
    file = tmp_path / "deb" / f"{name}.deb"
    place.run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, file)
    return file.read_bytes()


def _control(name: str) -> str:
    return (
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Px <px@test>\nDescription: a test\n"
    )


def _describe_deb(name: str, deb: bytes) -> str:
    digest = hashlib.sha256(deb).hexdigest()
    return f"{_control(name)}Filename: ./{name}.deb\nSize: {len(deb)}\nSHA256: {digest}\n"

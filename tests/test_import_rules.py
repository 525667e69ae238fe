"""Which package may import which: the arrows of ARCHITECTURE.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import px

PACKAGE_DIR = Path(px.__file__).parent

CORE = {
    "core",
    "core.auth",
    "core.client_login",
    "core.http",
    "core.login",
    "core.rules",
    "core.socks",
    "core.trace",
}
#: Each package below px ("" is px itself), and the packages that its modules may import besides their own.
MAY_IMPORT: Mapping[str, set[str]] = {
    "": {"cli"},
    "cli": {"", "app", "checks", "config", "config.imports", "io", "logs", "processes", "processes.forks"}
    | {"cli.completion", "cli.demo", "cli.env", "cli.setup", "cli.top"}
    | {"routing", "routing.pac"}
    | {"system.autostart", "system.login", "system.process", "system.state", "upstream.connections"}
    | {"core", "core.auth", "core.auth.ntlm", "core.http", "core.rules"},
    "cli.completion": {"config"},
    "cli.env": {"config", "core", "core.http", "core.rules", "processes"},
    "cli.top": {"core", "processes", "system.process"},
    "cli.demo": {"app", "config", "core", "core.auth", "core.auth.ntlm", "core.http", "core.rules", "io"}
    | {"system.process", "system.state"},
    "cli.setup": {"checks", "config", "processes", "routing"}
    | {"core", "core.auth", "core.login", "core.rules"}
    | {"system.autostart", "system.login", "system.process", "system.state"},
    "checks": {
        "",
        "app",
        "config",
        "core",
        "core.auth",
        "core.http",
        "core.login",
        "core.rules",
        "core.trace",
        "io",
        "logs",
    }
    | {"routing", "routing.pac"}
    | {"system.login", "system.process", "system.proxy_settings", "system.state"}
    | {"upstream.connections"},
    "processes": {"", "app", "checks", "config", "core", "core.http", "io", "logs"}
    | {"system.login", "system.process", "system.state"},
    "processes.forks": {"app", "logs", "processes", "system.process"},
    "app": {"config", "core", "core.auth", "core.client_login", "core.http", "core.login", "core.rules"}
    | {
        "core.socks",
        "downstream",
        "downstream.activity",
        "downstream.pages",
        "downstream.tunnels",
        "io",
        "logs",
        "routing",
        "routing.pac",
    }
    | {"upstream", "upstream.connections"}
    | {"system.client_login", "system.login", "system.network_change", "system.process"}
    | {"system.proxy_settings", "system.state"},
    "config": {"core", "core.auth", "core.rules", "system.state"},
    "config.imports": {"config", "core", "core.auth", "core.auth.ntlm", "core.rules"}
    | {"system.proxy_settings"},
    "logs": {"", "core", "core.trace", "system.state"},
    "downstream": {"downstream.activity", "io", "upstream", "upstream.connections"}
    | CORE - {"core.rules", "core.socks"},
    "downstream.activity": {"core", "io"},
    "downstream.pages": {"core", "core.http", "core.rules", "downstream"},
    "downstream.tunnels": {"core", "core.http", "core.socks", "downstream", "io", "upstream"},
    "upstream": {"io", "upstream.connections"} | CORE - {"core.client_login"},
    "upstream.connections": {"core", "core.http", "core.login", "core.rules", "core.socks", "io"},
    "routing": {"core", "core.http", "core.rules", "routing.pac"},
    "routing.pac": {"core", "core.rules"},
    "system": set(),
    "system.autostart": {"", "core", "system.process", "system.state"},
    "system.client_login": {"core", "core.auth", "core.client_login", "io", "system.login"},
    "system.login": {"core", "core.auth", "core.auth.ntlm", "core.login", "io"},
    "system.network_change": {"core"},
    "system.process": {"core"},
    "system.proxy_settings": {"core", "core.rules", "system.process"},
    "system.state": {"core", "core.login", "io"},
    "io": {"core"},
    "core": set(),
    "core.auth": {"core", "core.auth.ntlm", "core.http"},
    "core.auth.ntlm": {"core"},
    "core.client_login": {"core", "core.auth", "core.auth.ntlm", "core.http"},
    "core.http": {"core"},
    "core.login": {"core", "core.auth"},
    "core.rules": {"core", "core.http"},
    "core.socks": {"core", "core.auth", "core.http", "core.login", "core.rules"},
    "core.trace": {"core", "core.auth", "core.http", "core.login", "core.rules"},
}

#: The core gets time, randomness and bytes as arguments.
BANNED_IN_CORE = {
    "asyncio",
    "os",
    "random",
    "secrets",
    "select",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
#: A package with more modules needs subpackages; one with a single module is not worth a package.
FEWEST_MODULES, MOST_MODULES = 2, 17


def files_by_module(package_dir: Path) -> dict[str, Path]:
    """Return the file of each module below px, by its name; that of a package is its ``__init__.py``."""
    return {
        ".".join(path.relative_to(package_dir).with_suffix("").parts)
        .removesuffix("__init__")
        .rstrip("."): path
        for path in sorted(package_dir.rglob("*.py"))
    }


MODULES = files_by_module(PACKAGE_DIR)


def package_of(module: str, path: Path) -> str:
    """Return the package that a module is in; a package is in itself."""
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def imported_names(module: str, path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, including imports for types and in functions."""
    package = ["px", *filter(None, package_of(module, path).split("."))]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            parts = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*parts, alias.name]) for alias in node.names)


def imported_modules(module: str, modules: Mapping[str, Path]) -> set[str]:
    """Return the modules below px that a module imports."""
    found = set()
    for name in imported_names(module, modules[module]):
        first, _, inner = name.partition(".")
        while first == "px" and inner not in modules:
            inner = inner.rpartition(".")[0]
        if first == "px":
            found.add(inner)
    return found - {module}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_package_may_import(module: str) -> None:
    package = package_of(module, MODULES[module])
    assert package in MAY_IMPORT, f"px.{package} is no known package: give it a place in MAY_IMPORT"
    imported = {package_of(each, MODULES[each]) for each in imported_modules(module, MODULES)}
    assert imported - {package} <= MAY_IMPORT[package]


def test_every_package_in_the_rules_exists() -> None:
    packages = {package_of(module, path) for module, path in MODULES.items()}
    assert packages == set(MAY_IMPORT)


def test_no_two_modules_import_each_other() -> None:
    order = TopologicalSorter({module: imported_modules(module, MODULES) for module in MODULES})
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {error.args[1]}")


def test_no_two_packages_may_import_each_other() -> None:
    """px itself is an exception: it has the version and starts the command line."""
    allowed = {package: rooms - {""} for package, rooms in MAY_IMPORT.items() if package}
    TopologicalSorter(allowed).prepare()


def test_no_package_is_too_large_or_too_small() -> None:
    sizes: dict[str, int] = {}
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            package = package_of(module, path)
            sizes[package] = sizes.get(package, 0) + 1
    del sizes[""]  # __main__
    assert not {name: n for name, n in sizes.items() if not FEWEST_MODULES <= n <= MOST_MODULES}


@pytest.mark.parametrize("module", [name for name in MODULES if name.partition(".")[0] == "core"])
def test_the_core_imports_no_io_and_no_clock(module: str) -> None:
    names = imported_names(module, MODULES[module])
    assert not {name.split(".")[0] for name in names} & BANNED_IN_CORE


def test_only_the_command_line_ends_the_process() -> None:
    enders = {"sys.exit", "os._exit", "exit", "quit"}
    for module, path in MODULES.items():
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        if module != "cli.main":
            assert not enders & {ast.unparse(call.func) for call in calls}, path


def test_the_checker_finds_imports_in_functions_relative_imports_and_imports_for_types(
    tmp_path: Path,
) -> None:
    for name in ("__init__", "app", "cli", "io/__init__", "io/pool", "io/module", "io/types"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "io/module.py").write_text(
        "from typing import TYPE_CHECKING\nfrom ..app import run\nfrom . import pool\n"
        "if TYPE_CHECKING:\n    from px.io.types import T\ndef f():\n    import px.cli as c\n"
    )
    modules = files_by_module(tmp_path)
    assert imported_modules("io.module", modules) == {"app", "io.pool", "io.types", "cli"}

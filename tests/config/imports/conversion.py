"""Imports a file in process, and reads the px.ini that comes of it as Px does at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from px.config.imports.importer import Import, import_settings
from px.config.invocation import load_settings
from px.config.settings import Settings
from px.core.startup_errors import ConfigError


@dataclass
class Converted:
    """What became of a file.

    Attributes:
        found: What the import says.
        ini: The text of the new px.ini.
        settings: The settings of a Px that starts with it.
        warnings: What such a Px warns about.
    """

    found: Import
    ini: str
    settings: Settings
    warnings: tuple[str, ...]

    @property
    def lost(self) -> str:
        """All warnings of the import, a line each."""
        return "\n".join(self.found.warnings)


class Converter:
    """A working directory with a px.ini that imports write to."""

    def __init__(self, directory: Path) -> None:
        self.cwd = directory / "work"
        self.cwd.mkdir(mode=0o700)
        self.ini = self.cwd / "px.ini"

    def write(self, text: str, name: str = "foreign.conf") -> Path:
        path = self.cwd / name
        path.write_bytes(text.encode())
        path.chmod(0o600)
        return path

    def convert(self, text: str | bytes, *argv: str) -> Converted:
        """Import a file with this text."""
        path = self.write("")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.run(path.name, *argv)

    def run(self, place: str, *argv: str, **environ: str) -> Converted:
        """Import what a place names."""
        invocation = load_settings([f"--import={place}", *argv], {}, self.cwd)
        assert invocation.settings
        found = import_settings(place, environ, self.cwd, invocation, invocation.settings)
        start = load_settings([], {}, self.cwd)
        assert start.settings
        return Converted(found, self.ini.read_text(encoding="utf-8"), start.settings, start.warnings)

    def error(self, text: str, *argv: str) -> str:
        """Return the error of an import that fails; px.ini must not change."""
        before = self.ini.read_bytes() if self.ini.exists() else None
        with pytest.raises(ConfigError) as caught:
            self.convert(text, *argv)
        assert (self.ini.read_bytes() if self.ini.exists() else None) == before
        return str(caught.value)

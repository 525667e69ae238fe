"""``px --save`` and ``--import``: writes settings to a px.ini."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from px.config.file_text import read_file_text
from px.config.ini_text import IniText
from px.config.option import Option
from px.config.options import OPTIONS
from px.config.settings import Settings, make_settings
from px.config.sources import Given, parse_ini, parse_ini_options
from px.core.startup_errors import ConfigError
from px.system.state.whole_file import write_whole


def save_settings(path: Path, given: Mapping[str, Given], settings: Settings) -> list[str]:
    """Write the options of the command line, and defaults for missing keys, to a px.ini; return warnings.

    Values of the environment are not saved: the next start finds them there again, and they may be secrets.
    See `write_options`.
    """
    return write_options(path, {name: one for name, one in given.items() if one.is_flag}, settings)


def write_options(path: Path, given: Mapping[str, Given], settings: Settings) -> list[str]:
    """Write options, and defaults for missing keys, to a px.ini; all its other text stays; return warnings.

    Args:
        path: The file; Px creates the file and its directory if they are missing.
        given: The options to write.
        settings: The settings that result from the options and the file.

    Returns:
        A warning for each option that px.ini cannot hold.

    Raises:
        ConfigError: The file cannot be read or written, or cannot hold a value.
    """
    ini = parse_ini(read_file_text(path, []), path) if path.exists() else IniText("", newline=os.linesep)
    for option in OPTIONS:
        if option.section and (option.is_flag or option.name in given):
            _set_option(ini, option, given, settings)
    warnings = list(_check_saved(ini, path, given, settings))
    _write(path, str(ini))
    return warnings


def _set_option(ini: IniText, option: Option, given: Mapping[str, Given], settings: Settings) -> None:
    section, key = option.section, option.key
    if _is_outvoted(option, given):
        ini.set(section, key, str(getattr(settings, option.name)))
    elif option.name in given:
        text = given[option.name].text.strip()
        read = option.parse(text)
        # Save the parsed text: a relative path of a PAC script would mean another file in another directory.
        ini.set(section, key, read if isinstance(read, str) else text)
    elif ini.get(section, key) is None:
        ini.set(section, key, option.default)


def _is_outvoted(option: Option, given: Mapping[str, Given]) -> bool:
    """Whether a flag that has no key in px.ini changes this option, as --debug changes --log."""
    return any(one.option.saved_as == option.name for one in given.values())


def _check_saved(ini: IniText, path: Path, given: Mapping[str, Given], settings: Settings) -> Iterator[str]:
    """Parse the new text again; yield a warning for each option that it does not hold.

    Raises:
        ConfigError: Px would read another value than the given one.
    """
    saved = parse_ini_options(IniText(str(ini)), path, [])
    loaded = make_settings([{}, saved], path, [])
    for one in given.values():
        option = one.option
        if option.section and not _is_outvoted(option, given):
            text = saved[option.name].text if option.name in saved else option.default
            if option.parse(text) != option.parse(one.text):
                raise ConfigError(
                    f"{one.written}: px.ini cannot hold this value; it would be read as {option.show(text)!r}"
                )
        elif option.saved_as and getattr(loaded, option.name) != getattr(settings, option.name):
            yield f"{one.key} is not saved: px.ini has no key for it of its own"


def _write(path: Path, text: str) -> None:
    """Write the file in UTF-8; keep a UTF-8 byte order mark if the file has one."""
    try:
        has_mark = path.exists() and path.read_bytes().startswith(codecs.BOM_UTF8)
        write_whole(path, text.encode("utf-8-sig" if has_mark else "utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{path}: cannot be written: {reason}; --config=FILE names another one") from None

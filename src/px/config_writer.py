"""``px --save``: settings into a px.ini."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from px.config import Settings, make_settings
from px.config_sources import Given, load_ini, read_ini_text
from px.core.startup_errors import ConfigError
from px.ini_text import IniText
from px.option import Option
from px.options import OPTIONS
from px.system.whole_file import write_whole


def save_settings(path: Path, given: Mapping[str, Given], settings: Settings) -> list[str]:
    """Write what the command line gave over what the file says over the defaults.

    All else in the file stays as it is. What the environment gave is not written: it would be there the next
    time anyway, and may be a secret.

    Args:
        path: Of the file; made, with its directory, if it is not there.
        given: What the command line, and perhaps others, gave.
        settings: What that and the file come to.

    Returns:
        Warnings: what px.ini cannot say.

    Raises:
        ConfigError: The file cannot be read or written, or could not hold a value.
    """
    flags = {name: one for name, one in given.items() if one.is_flag}
    ini = load_ini(path) if path.exists() else IniText("", newline=os.linesep)
    for option in OPTIONS:
        if option.section and option.is_flag:
            _set_option(ini, option, flags, settings)
    warnings = list(_check_saved(ini, path, flags, settings))
    _write(path, str(ini))
    return warnings


def _set_option(ini: IniText, option: Option, flags: Mapping[str, Given], settings: Settings) -> None:
    section, key = option.section, option.key
    if _is_outvoted(option, flags):
        ini.set(section, key, str(getattr(settings, option.name)))
    elif option.name in flags:
        text = flags[option.name].text.strip()
        read = option.parse(text)
        # Texts as they were read: the relative path of a PAC script would mean another file elsewhere.
        ini.set(section, key, read if isinstance(read, str) else text)
    elif ini.get(section, key) is None:
        ini.set(section, key, option.default)


def _is_outvoted(option: Option, flags: Mapping[str, Given]) -> bool:
    """Whether a flag without a key of its own has a say in this option, as --debug has in --log."""
    return any(one.option.saved_as == option.name for one in flags.values())


def _check_saved(ini: IniText, path: Path, flags: Mapping[str, Given], settings: Settings) -> Iterator[str]:
    """Read back what would be written, and tell what of it is lost.

    Raises:
        ConfigError: A value would be another one.
    """
    saved = read_ini_text(IniText(str(ini)), path, [])
    loaded = make_settings([{}, saved], path, [])
    for one in flags.values():
        option = one.option
        if option.section and not _is_outvoted(option, flags):
            text = saved[option.name].text if option.name in saved else option.default
            if option.parse(text) != option.parse(one.text):
                raise ConfigError(
                    f"{one.written}: px.ini cannot hold this value; it would be read as {text!r}"
                )
        elif option.saved_as and getattr(loaded, option.name) != getattr(settings, option.name):
            yield f"{one.key} is not saved: px.ini has no key for it of its own"


def _write(path: Path, text: str) -> None:
    """Write the file in the encoding that it has."""
    try:
        has_mark = path.exists() and path.read_bytes().startswith(codecs.BOM_UTF8)
        write_whole(path, text.encode("utf-8-sig" if has_mark else "utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{path}: cannot be written: {reason}; --config=FILE names another one") from None

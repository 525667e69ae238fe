"""What px.ini keeps although the other program did without it: an import changes only what a file sets.

A file that does not have a setting means the default of its program. So a cntlm.conf without Gateway served
this computer only, and a px.ini with gateway=1 would go on serving others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from px.config.option import Option
from px.config.settings import parse_given
from px.config.sources import Given

#: Who may use a local proxy that says nothing about it. Option -> text of the value.
LOCAL_ACCESS: Final = {
    "gateway": "0",
    "hostonly": "0",
    "listen": "localhost",
    "allow": "*.*.*.*",
    "client_auth": "NONE",
}


class Defaults(NamedTuple):
    """What a file means by the settings that it does not have.

    Attributes:
        program: The program of the file.
        texts: Option -> the text of its value there.
    """

    program: str
    texts: Mapping[str, str]


def find_kept(
    present: Mapping[str, Given], changed: Collection[str], source: str, defaults: Defaults
) -> Iterator[str]:
    """Yield a warning for each setting of px.ini that stays, and is no default of Px or the other program.

    Args:
        present: The settings of px.ini.
        changed: The options that are going to be written.
        source: What is imported.
        defaults: Those of the other program.
    """
    for name, default in defaults.texts.items():
        one = present.get(name)
        if one is None or name in changed:
            continue
        parse = one.option.parse
        if parse_given(one) not in (parse(default), parse(one.option.default)):
            flag = _format_flag(one.option, default)
            yield (
                f"{one.written} stays: {source} does not replace it, and the default of {defaults.program}"
                f" is {default or 'empty'}; for that, give {flag} with --save"
            )


def _format_flag(option: Option, text: str) -> str:
    return f'{option.flag}="{text}"' if "*" in text else f"{option.flag}={text}"

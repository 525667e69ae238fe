"""The table of all options; `px.config.actions` has the actions.

The command line, the environment, ``.env``, px.ini, ``--help`` and docs/options.md are all made from
`OPTIONS` and `ACTIONS`. An option's name is its field in `px.config.settings.Settings` and, unless the option
is a secret, its flag.
"""

from __future__ import annotations

from typing import Final

from px.config.login_options import CLIENT, LOGIN, LOGIN_OPTIONS
from px.config.process_options import LOGGING, PROCESS_OPTIONS, SETTINGS
from px.config.request_options import ACCESS, PROXY, REQUEST_OPTIONS

GROUPS: Final = (PROXY, ACCESS, LOGIN, CLIENT, SETTINGS, LOGGING)
OPTIONS: Final = (*REQUEST_OPTIONS, *LOGIN_OPTIONS, *PROCESS_OPTIONS)
OPTION_BY_NAME: Final = {option.name: option for option in OPTIONS}

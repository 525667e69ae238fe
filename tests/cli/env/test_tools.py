"""The commands for tools. tests/clients/test_env_tools.py runs those whose tools it has."""

from __future__ import annotations

import shlex

import pytest

from px.cli.env.tools import TOOLS
from tests.cli.env.test_endpoint import LOCAL, endpoint_with

URL = "http://127.0.0.1:3129"


@pytest.mark.parametrize(
    ("tool", "use", "undo"),
    [
        (
            "git",
            [["git", "config", "--global", "http.proxy", URL]],
            [["git", "config", "--global", "--unset-all", "http.proxy"]],
        ),
        (
            "npm",
            [
                ["npm", "config", "set", "proxy", URL],
                ["npm", "config", "set", "https-proxy", URL],
                ["npm", "config", "set", "noproxy", f"{LOCAL},10.0.0.0/8"],
            ],
            [["npm", "config", "delete", "proxy", "https-proxy", "noproxy"]],
        ),
        (
            "pip",
            [["pip", "config", "set", "global.proxy", URL]],
            [["pip", "config", "unset", "global.proxy"]],
        ),
        (
            "conda",
            [
                ["conda", "config", "--set", "proxy_servers.http", URL],
                ["conda", "config", "--set", "proxy_servers.https", URL],
            ],
            [["conda", "config", "--remove-key", "proxy_servers"]],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_lines_are_commands(tool, use, undo):
    kind = TOOLS[tool]
    assert read_commands(kind.use(endpoint_with("10.*").values)) == use
    assert read_commands(kind.undo()) == undo


def read_commands(lines):
    split = [shlex.split(line, comments=True) for line in lines]
    return [words for words in split if words]

"""Tools that have a command for their own settings: the lines are commands for any shell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from px.cli.env.endpoint import ProxyValues
from px.cli.env.kind import Kind


def _set_git(values: ProxyValues) -> Iterator[str]:
    yield f'git config --global http.proxy "{values.url}"'
    yield "# git takes no_proxy from the environment; to undo it: px --env=git:undo"


def _unset_git() -> Iterator[str]:
    yield "git config --global --unset-all http.proxy"


def _set_npm(values: ProxyValues) -> Iterator[str]:
    yield f'npm config set proxy "{values.url}"'
    yield f'npm config set https-proxy "{values.url}"'
    yield f'npm config set noproxy "{values.no_proxy_list}"'
    yield "# to undo it: px --env=npm:undo"


def _unset_npm() -> Iterator[str]:
    yield "npm config delete proxy https-proxy noproxy"


def _set_pip(values: ProxyValues) -> Iterator[str]:
    yield f'pip config set global.proxy "{values.url}"'
    yield "# pip takes no_proxy from the environment; to undo it: px --env=pip:undo"


def _unset_pip() -> Iterator[str]:
    yield "pip config unset global.proxy"


def _set_conda(values: ProxyValues) -> Iterator[str]:
    yield f'conda config --set proxy_servers.http "{values.url}"'
    yield f'conda config --set proxy_servers.https "{values.url}"'
    yield "# conda takes no_proxy from the environment; to undo it: px --env=conda:undo"


def _unset_conda() -> Iterator[str]:
    yield "conda config --remove-key proxy_servers"


TOOLS: Final = {
    "git": Kind(_set_git, _unset_git),
    "npm": Kind(_set_npm, _unset_npm),
    "pip": Kind(_set_pip, _unset_pip),
    "conda": Kind(_set_conda, _unset_conda),
}

"""``px --doctor``: follows a request from a program to the site, and says at each step whether it works."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from px.checks.fresh_px import running_fresh_px
from px.checks.login_test import PxUnderTest
from px.checks.own_checks import check_clients, check_config, check_password, check_port, check_source
from px.checks.program_checks import ProgramCheck
from px.checks.step import Step, Tell
from px.checks.walk import Walk

if TYPE_CHECKING:
    from px.checks.target import SiteRequests
    from px.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The Px that the doctor examines.

    Attributes:
        settings: The settings, with all secrets.
        state: The state directory.
        config_file: The px.ini in use, or None.
        warnings: What Px says about the configuration.
        password_warnings: What Px says about the keyring.
        environ: The environment of this shell.
        port: The step of the port, where a Px of this user has it; None: none has.
        running: The running Px, if the requests are to go through it; None: the doctor starts one.
    """

    settings: Settings
    state: Path
    config_file: Path | None
    warnings: Sequence[str] = ()
    password_warnings: Sequence[str] = ()
    environ: Mapping[str, str]
    port: Step | None = None
    running: PxUnderTest | None = None


async def examine(patient: Patient, requests: SiteRequests, tell: Tell) -> None:
    """Tell the steps in the order in which a request meets what they check; at most one login fails.

    Args:
        patient: The Px.
        requests: To send at the end.
        tell: Takes the steps.
    """
    settings = patient.settings
    tell(check_config(patient.config_file, patient.warnings))
    tell(patient.port or check_port(settings))
    programs = ProgramCheck(settings, patient.environ, requests.connect.authority)
    for step in await asyncio.to_thread(list, programs.run()):
        tell(step)
    if patient.running is None and (clients := check_clients(settings)) is not None:
        tell(clients)
    password = check_password(settings, patient.password_warnings)
    if password is not None and patient.running is None:
        tell(password)
    failure = await asyncio.to_thread(check_source, settings)
    if failure is not None:
        tell(failure)
        return
    async with running_fresh_px(settings, patient.state) as (px, address):
        tested = patient.running or PxUnderTest("", address, px.report)
        logs_in = patient.running is None
        await Walk(settings, px.parts, tested, requests, tell, logs_in=logs_in).run()

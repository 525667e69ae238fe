"""Finds the PAC script of the network (WPAD) by DHCP or by a host named ``wpad``.

Px looks for the host only in the domains where this computer looks for names without a dot. Px does not try
the domains above them, which may belong to another organisation ("devolution", CERT VU#598349).
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from px.core.rules.pac_location import shorten_location
from px.system.process.command_output import read_command_output
from px.system.proxy_settings.dhcp_leases import clean_url, find_leased_url

_HOST: Final = "wpad"
_URL: Final = f"http://{_HOST}/wpad.dat"

_LOGGER: Final = logging.getLogger("px.system_proxy")


def detect_pac_url(timeout_seconds: float) -> str | None:
    """Return the URL of the network's PAC script; None if the network names none.

    Blocks for `timeout_seconds` at most. A query to a name server cannot be cancelled, so its thread goes on
    after a timeout, and its result is ignored.

    Raises:
        TimeoutError: The network does not answer, or not in time.
    """
    answers: queue.SimpleQueue[str | TimeoutError | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_detect()), name="wpad", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {timeout_seconds:g} seconds") from None
    if isinstance(answer, TimeoutError):
        raise answer
    return answer


def _detect() -> str | TimeoutError | None:
    try:
        url = _ask_system()
    except TimeoutError as error:
        return error
    except OSError as error:
        _LOGGER.warning("automatic detection (WPAD): %s", error)
        return None
    _LOGGER.info("automatic detection (WPAD): %s", shorten_location(url or "this network names no script"))
    return url


if sys.platform == "win32":
    import ctypes

    from px.system.proxy_settings.windows import take_string

    _BY_DHCP: Final = 1
    _BY_DNS: Final = 2
    _ERROR_AUTODETECTION_FAILED: Final = 12180

    def _ask_system() -> str | None:
        winhttp = ctypes.WinDLL("winhttp", use_last_error=True)
        detect = winhttp.WinHttpDetectAutoProxyConfigUrl
        detect.argtypes = [ctypes.c_uint32, ctypes.POINTER(ctypes.c_void_p)]
        url = ctypes.c_void_p()
        if detect(_BY_DHCP | _BY_DNS, ctypes.byref(url)):
            return clean_url(take_string(url.value))
        error = ctypes.get_last_error()
        if error != _ERROR_AUTODETECTION_FAILED:
            raise ctypes.WinError(error)
        return None

else:

    def _ask_system() -> str | None:
        return _ask_dhcp() or _ask_dns()

    def _ask_dhcp() -> str | None:
        if sys.platform == "darwin":
            # An empty name of the interface: the first one whose lease has the option.
            return clean_url(
                read_command_output("ipconfig", "getoption", "", "252", environ=os.environ) or ""
            )
        else:  # noqa: RET505 - the type checker follows this form only
            return find_leased_url(os.environ, Path("/"), time.time())

    def _ask_dns() -> str | None:
        """Return the URL on the host named wpad, if the system resolves that name."""
        try:
            found = socket.getaddrinfo(_HOST, 80, type=socket.SOCK_STREAM)
        except OSError:
            return None
        # Some name servers answer 0.0.0.0 for names that they block.
        return _URL if any(not ip_address(entry[4][0]).is_unspecified for entry in found) else None

"""WPAD: where the network says its PAC script is, by DHCP or by a host whose name is ``wpad``.

Only in the domains where this computer looks for names without a dot: nobody is asked in a domain above them,
which may be somebody else's ("devolution", CERT VU#598349).
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

from px.system.dhcp_leases import clean_url, find_leased_url
from px.system.tool_output import read_tool

_HOST: Final = "wpad"
_URL: Final = f"http://{_HOST}/wpad.dat"

_LOGGER: Final = logging.getLogger("px.system_proxy")


def detect_pac_url(timeout_seconds: float) -> str | None:
    """Return the URL of the network's PAC script; None: it names none.

    Blocks for the time at most. What it waits for, a name server say, can only be abandoned: a thread that
    nobody waits for any more is left to it.

    Raises:
        TimeoutError: The network does not say, or not in time.
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
    _LOGGER.info("automatic detection (WPAD): %s", url or "this network names no script")
    return url


if sys.platform == "win32":
    import ctypes

    from px.system.system_proxy_windows import take_string

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
            # No interface: the first one with a lease that has the option.
            return clean_url(read_tool("ipconfig", "getoption", "", "252", environ=os.environ) or "")
        else:  # noqa: RET505 - the type checker follows this form only
            return find_leased_url(os.environ, Path("/"), time.time())

    def _ask_dns() -> str | None:
        """Look for the host where the system looks for names without a dot."""
        try:
            found = socket.getaddrinfo(_HOST, 80, type=socket.SOCK_STREAM)
        except OSError:
            return None
        # Some answer so for names that shall not be.
        return _URL if any(not ip_address(entry[4][0]).is_unspecified for entry in found) else None

"""Two gigabytes and less go through Px: every byte arrives, and Px does not store the body."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.corpnet.network import CorporateNetwork

from . import exchanges
from .exchanges import HOST, checksum
from .http_client import Body, Client
from .logins import LOGINS

#: More than a signed number of 32 bits holds.
HUGE_BYTES = 2 * 1024**3
#: Many times as much as Px may store.
LARGE_BYTES = 300 * 1024**2
MAX_GROWTH_BYTES = 40 * 1024 * 1024

Transfer = Callable[[Client, CorporateNetwork], None]


def _download(client: Client, network: CorporateNetwork, path: str, length: int) -> None:
    answer = client.get(network.origin.url(f"/{path}/{length}", HOST))
    assert (answer.status, answer.length, answer.sha256) == (200, length, checksum(length))
    assert ("chunked" in answer.header("transfer-encoding")) == (path == "chunked")


_UPLOAD: Transfer = partial(exchanges.upload, body=Body(HUGE_BYTES))
_UPLOAD_LARGE: Transfer = partial(exchanges.upload, body=Body(LARGE_BYTES))
_UPLOAD_CHUNKED: Transfer = partial(exchanges.upload, body=Body(LARGE_BYTES, chunked=True))
_DOWNLOAD: Transfer = partial(_download, path="bytes", length=HUGE_BYTES)
_DOWNLOAD_CHUNKED: Transfer = partial(_download, path="chunked", length=LARGE_BYTES)


@pytest.mark.slow
@pytest.mark.px_under_wine("ntlm-download")
@pytest.mark.parametrize(
    ("login", "transfer"),
    [
        pytest.param("ntlm", _UPLOAD, id="ntlm-upload"),
        pytest.param("ntlm", _UPLOAD_CHUNKED, id="ntlm-upload-chunked"),
        pytest.param("kerberos-mit-ticket", _UPLOAD_LARGE, id="kerberos-upload"),
        pytest.param("ntlm", _DOWNLOAD, id="ntlm-download"),
        pytest.param("ntlm", _DOWNLOAD_CHUNKED, id="ntlm-download-chunked"),
    ],
)
def test_px_does_not_store_the_body_of_the_first_request(
    network: CorporateNetwork, tmp_path: Path, login: str, transfer: Transfer
) -> None:
    with LOGINS[login].running_px(network, tmp_path) as px:
        before = px.memory_bytes()
        with Client(px.port) as client:
            transfer(client, network)
        assert px.peak_memory_bytes() - before < MAX_GROWTH_BYTES

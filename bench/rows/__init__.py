"""All that is measured, in the order of the report."""

from __future__ import annotations

from bench.rows.bulk import BULK
from bench.rows.exchanges import EXCHANGES
from bench.rows.far import FAR
from bench.rows.growth import CONNECTIONS, RULES
from bench.rows.idle import IDLE
from bench.rows.rates import GETS, GETS_NTLM, LATENCY, TUNNELS, TUNNELS_NTLM
from bench.rows.start import START
from bench.rows.streams import STREAMS
from bench.rows.uploads import UPLOAD, UPLOAD_CHUNKED
from bench.rows.workers import WORKERS

_ALL = (
    BULK,
    TUNNELS,
    TUNNELS_NTLM,
    GETS,
    GETS_NTLM,
    LATENCY,
    IDLE,
    EXCHANGES,
    FAR,
    UPLOAD,
    UPLOAD_CHUNKED,
    START,
    WORKERS,
    CONNECTIONS,
    RULES,
    STREAMS,
)
ROWS = {row.name: row for row in _ALL}

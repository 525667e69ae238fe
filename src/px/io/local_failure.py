"""Failures of this computer, or of Px itself, rather than of the client or the hop."""

from __future__ import annotations

import errno

from px.core.errors import ExhaustedError, PxError

#: The errors for "no descriptor, buffer or memory is left".
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def explain_exhaustion(error: Exception, what: str) -> ExhaustedError | None:
    """Return the error for a client if this computer has run out of resources; None for any other failure.

    Args:
        error: The exception.
        what: What this computer cannot do; completes "This computer cannot ...".
    """
    if not (isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED)):
        return None
    reason = (getattr(error, "strerror", None) or "out of memory").lower()
    return ExhaustedError(
        f"This computer cannot {what}: {reason}.",
        "Close programs that hold many connections, or raise the limit of open files (ulimit -n).",
        retry_after=1,
    )


def explain_fault() -> PxError:
    """Return the error for a request that an unexpected exception has ended."""
    return PxError(
        "Px failed at this request, which is a fault of Px.",
        "For details, see the crash log that Px has named on its standard error, or its debug log.",
    )

"""Streams of requests: Px, the next reader and other parsers find the same end of each request.

A stream is ambiguous if Px accepts a request that another parser ends elsewhere or understands differently,
or if the next reader understands Px's output differently. None of a large number of streams may be ambiguous.
"""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest

from tests.core.http.request_corpus import make_stream
from tests.core.http.stream_readers import End, Reading, read_with_h11, read_with_llhttp, read_with_px

#: Streams for each seed; PX_STREAMS in the environment changes the number.
STREAMS = int(os.environ.get("PX_STREAMS", "1000"))
OTHERS = {"h11": read_with_h11, "llhttp": read_with_llhttp}


def agree(ours: Reading, theirs: Reading) -> bool:
    """Return whether two readers see the same requests, up to the end of the shorter list."""
    both = min(len(ours.seen), len(theirs.seen))
    if ours.seen[:both] != theirs.seen[:both]:
        return False
    behind = ours if both == len(ours.seen) else theirs
    return len(ours.seen) == len(theirs.seen) or behind.end in {End.REFUSES, End.STOPS}


def reads_all(theirs: Reading, ours: Reading) -> bool:
    """Return whether a reader understands Px's output as Px does; it may stop at a tunnel."""
    count = len(theirs.seen)
    if (theirs.seen, theirs.fields) != (ours.seen[:count], ours.fields[:count]):
        return False
    return theirs.end is End.STOPS or (count == len(ours.seen) and theirs.end is End.WAITS_FOR_HEAD)


def find_differences(wire: bytes, ours: Reading) -> list[str]:
    """Return the ambiguities of a stream."""
    sent = b"".join(ours.sent)
    again = read_with_px(sent)
    found = []
    if (again.seen, again.sent) != (ours.seen, ours.sent):
        found.append(f"Px itself reads what it sends on as {again}")
    for name, read in OTHERS.items():
        if not agree(ours, theirs := read(wire)):
            found.append(f"{name} reads {theirs}")
        if not reads_all(theirs := read(sent), again):
            found.append(f"{name} reads what is sent on as {theirs}")
    return [f"{wire!r}: Px reads {ours}, but {difference}" for difference in found]


@pytest.mark.parametrize("seed", range(4))
def test_no_stream_that_px_takes_requests_from_is_ambiguous(seed: int) -> None:
    random = Random(seed)
    taken: Counter[int] = Counter()
    for _ in range(STREAMS):
        wire = make_stream(random)
        ours = read_with_px(wire)
        assert find_differences(wire, ours) == []
        taken[len(ours.seen)] += 1
    assert taken[0] > STREAMS // 10, "some are refused at once"
    assert STREAMS - taken[0] > STREAMS // 10, "from some a request is taken"

"""What Px remembers about uploads at an upstream, and for how long."""

from __future__ import annotations

from px.core.login.upload_memory import DEAF_SECONDS, DISTRUST_SECONDS, UploadMemory


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def test_a_long_body_goes_without_a_token_only_once_a_login_was_seen_to_last() -> None:
    memory = UploadMemory(Clock())
    assert not memory.trusts_kept_login(for_long_body=True)
    memory.keeps_login = True
    assert memory.trusts_kept_login(for_long_body=True)
    memory.note_interrupted(had_first_token=False)
    assert not memory.challenges_uploads
    assert not memory.trusts_kept_login(for_long_body=True)


def test_an_upstream_that_drops_logins_is_tried_again_after_a_while_but_not_with_a_long_body() -> None:
    clock = Clock()
    memory = UploadMemory(clock)
    assert memory.trusts_kept_login(for_long_body=False)
    memory.note_lost_login()
    assert not memory.trusts_kept_login(for_long_body=False)
    clock.time += DISTRUST_SECONDS
    assert memory.trusts_kept_login(for_long_body=False)
    assert not memory.trusts_kept_login(for_long_body=True)


def test_a_missing_100_is_remembered_until_one_comes_or_for_a_while() -> None:
    clock = Clock()
    memory = UploadMemory(clock)
    heeds = []
    for is_heeded, seconds in ((False, 0.0), (True, 0.0), (False, DEAF_SECONDS)):
        memory.note_expect(is_heeded=is_heeded)
        clock.time += seconds
        heeds.append(memory.heeds_expect)
    assert heeds == [False, True, True]

"""What Px remembers about single targets, and for how long."""

from __future__ import annotations

from px.core.login.target_memory import DENIED_SECONDS, MAX_TARGETS, TargetMemory


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_denial_in_a_row_lasts_longer_until_a_login_is_accepted() -> None:
    clock = Clock()
    memory = TargetMemory(clock)
    seconds = [memory.deny("a:443") for _ in range(len(DENIED_SECONDS) + 1)]
    assert seconds == [*DENIED_SECONDS, DENIED_SECONDS[-1]]
    assert memory.denied_for("a:443") == DENIED_SECONDS[-1]
    assert memory.denied_for("b:443") == 0.0
    clock.now += DENIED_SECONDS[-1]
    assert memory.denied_for("a:443") == 0.0
    memory.receive_acceptance("a:443")
    assert memory.deny("a:443") == DENIED_SECONDS[0]


def test_an_accepted_login_for_any_target_ends_the_wait_of_all() -> None:
    clock = Clock()
    memory = TargetMemory(clock)
    memory.avoid("a:443", 10.0)
    memory.avoid("b:443", 10.0)
    assert memory.is_avoided("a:443")
    clock.now += 10.0
    assert not memory.is_avoided("a:443")
    clock.now -= 1.0
    assert memory.is_avoided("b:443")
    memory.receive_acceptance("c:443")
    assert not memory.is_avoided("b:443")


def test_the_oldest_target_is_forgotten_first() -> None:
    memory = TargetMemory(Clock())
    for number in range(MAX_TARGETS):
        memory.learn_offer(f"{number}:443", frozenset({"ntlm"}))
    memory.learn_offer("0:443", frozenset({"basic"}))  # the newest one now
    memory.learn_offer("new:443", frozenset({"ntlm"}))
    assert memory.offer_at("0:443") == frozenset({"basic"})
    assert memory.offer_at("1:443") is None
    assert memory.offer_at("2:443") == frozenset({"ntlm"})


def test_a_target_that_needs_no_login_is_free_until_it_wants_one() -> None:
    memory = TargetMemory(Clock())
    memory.learn_free("a:443")
    assert memory.is_free("a:443")
    memory.learn_closed("a:443")
    assert not memory.is_free("a:443")

"""Scripts that loop, hoard, recurse and play tricks: none takes more than its share, or Px with it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from contextlib import suppress

import pytest

from px.core.errors import PacError
from px.net.offload import Offload
from px.routing import pac_sandbox
from px.routing.pac_engine import PacScript
from px.routing.pac_sandbox import Call, Outcome, Sandbox, ScriptError

CALL = Call("http://a.test/", "a.test", ("10.0.0.1",))
#: On Windows it is time, and other programs have their share of it.
CPU_SECONDS = 0.5 if sys.platform == "win32" else 0.1
OUT_OF_TIME = re.escape(f"more than {CPU_SECONDS} s of processor time")
#: Ways of making everything that Python may ask of an exception an endless loop.
TRAPS = """
    function loop() { for (;;); }
    for (const kind of [Error, InternalError, RangeError, TypeError, Object, Function, String]) {
        for (const name of ["toString", "valueOf", "toJSON", Symbol.toPrimitive, Symbol.toStringTag])
            try { kind.prototype[name] = loop } catch (e) { }
        for (const name of ["message", "name", "stack", Symbol.toPrimitive, "line"])
            try { Object.defineProperty(kind.prototype, name, { get: loop }) } catch (e) { }
        try { Object.setPrototypeOf(kind.prototype, new Proxy({}, { get: loop })) } catch (e) { }
    }
    try { Error.prepareStackTrace = loop } catch (e) { }
    try { Object.defineProperty(Error, "prepareStackTrace", { get: loop }) } catch (e) { }
    try { Error.stackTraceLimit = { valueOf: loop } } catch (e) { }
"""


def script_that(body: str, before: str = "") -> str:
    return f"{before}\nfunction FindProxyForURL(url, host) {{\n{body}\n}}"


def call(body: str, before: str = "") -> Outcome:
    return Sandbox(script_that(body, before)).call(CALL, {})


@pytest.fixture(autouse=True)
def short_time(monkeypatch):
    """Time is the processor time of all threads here: others have none to spend."""
    monkeypatch.setattr(pac_sandbox, "CALL_CPU_SECONDS", CPU_SECONDS)
    monkeypatch.setattr(pac_sandbox, "LOAD_CPU_SECONDS", CPU_SECONDS)


# Time


@pytest.mark.parametrize(
    "body",
    [
        "for (;;);",
        "try { for (;;); } catch (e) { return 'DIRECT' } finally { for (;;); }",
        "return /^(a+)+$/.test('a'.repeat(50) + 'b')",
        "return shExpMatch('a'.repeat(5000), '(a|*a)(*a|a)*a*a*a*a*a*b')",
        "return String({ toString() { for (;;); } })",
        "throw { toString() { for (;;); } }",
        "throw new Proxy({}, { get() { for (;;); } })",
        "throw new Proxy(function () {}, { get() { for (;;); }, getPrototypeOf() { for (;;); } })",
        "alert({ toString() { for (;;); } })",
        "const a = []; for (let i = 0; ; i++) a[i % 10] = [i].concat(a).flat().sort().slice(0, 10)",
        "for (;;) try { dnsResolve('x' + Math.random()) } catch (e) { }",
        "function* f() { for (;;) yield 1 } for (const x of f());",
        "new Array(1e6).fill(0).sort(() => { for (;;); })",
    ],
)
def test_a_script_that_takes_too_long_is_stopped(body):
    with pytest.raises(ScriptError, match=OUT_OF_TIME) as caught:
        call(body)
    assert caught.value.is_limit
    assert not caught.value.is_loading


@pytest.mark.parametrize("body", ["for (;;);", "throw new Error('x')", "return [].x.y", "null()"])
def test_no_trap_is_sprung_outside_the_limits(body):
    with pytest.raises(ScriptError):
        call(body, TRAPS)


def test_traps_that_are_sprung_while_a_script_is_loaded():
    with pytest.raises(ScriptError) as caught:
        Sandbox(TRAPS + "throw new Error('x')").call(CALL, {})
    assert caught.value.is_loading
    with pytest.raises(ScriptError, match=OUT_OF_TIME) as caught:
        Sandbox("\n\nfor (;;);").call(CALL, {})
    assert caught.value.is_loading
    assert caught.value.is_limit


@pytest.mark.parametrize(
    "trick",
    [
        "JSON.stringify = () => { throw { toString() { for (;;); } } }; JSON.parse = null",
        "Array.prototype.map = Array.prototype.push = String.prototype.slice = null",
        "Map = Set = RegExp = String = Object = Array = Error = InternalError = undefined",
        "Map.prototype.get = Map.prototype.set = function () { throw this }",
        "globalThis.px_find = globalThis.px_load = null",
        "delete Object.prototype.toString; delete Error.prototype.stack",
    ],
)
def test_what_a_script_does_to_its_world_is_its_own_affair(trick):
    assert call("return 'DIRECT'", trick).answer == "DIRECT"


@pytest.mark.parametrize(
    "trick",
    [
        "Object.prototype.toJSON = () => 5",
        "Object.prototype.toJSON = () => undefined",
        "Object.prototype.toJSON = () => ({ missing: 5 })",
        "Object.prototype.toJSON = () => ({ missing: {}, is_tainted: {} })",
        "Object.prototype.toJSON = () => ({ missing: 'abc' })",
        "Object.prototype.toJSON = () => ({ answer: 'DIRECT', alerts: {} })",
        "Object.prototype.toJSON = () => []",
        "Object.prototype.toJSON = () => { throw null }",
        "Object.prototype.toJSON = () => ({ answer: ';'.repeat(1e5) })",
        "Object.prototype.toJSON = () => ({ answer: ';'.repeat(1e6) })",
    ],
)
def test_an_answer_in_no_form_that_px_knows_is_an_error(trick):
    with pytest.raises(ScriptError):
        call("return 'DIRECT'", trick)


@pytest.mark.parametrize("depth", [400_000, 600_000])
def test_a_result_without_an_end_is_not_read(depth):
    """Nested so deep that who reads it runs out of stack, and longer than Px would ever make it."""
    with pytest.raises(ScriptError, match="broke what it runs in"):
        pac_sandbox._run(lambda _: "[" * depth, {}, 1.0)


@pytest.mark.parametrize(
    "name", ["Atomics", "SharedArrayBuffer", "require", "process", "std", "os", "px_find"]
)
def test_a_script_has_nothing_to_wait_by_or_to_look_outside(name):
    assert call(f"return typeof {name}").answer == "undefined"


def test_a_promise_is_never_kept():
    sandbox = Sandbox(script_that("Promise.resolve().then(() => { for (;;); }); return 'DIRECT'"))
    for _ in range(3):
        assert sandbox.call(CALL, {}).answer == "DIRECT"
    with pytest.raises(ScriptError, match="no text but of type object"):
        Sandbox("async function FindProxyForURL() { return 'DIRECT' }").call(CALL, {})


# Memory and stack


@pytest.mark.parametrize(
    "body",
    [
        "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length)",
        "let s = 'x'; for (;;) s += s",
        "return 'x'.repeat(5e8)",
        "return new Array(1e9).fill(0)",
        "const a = []; for (;;) { try { for (;;) a.push(new Uint8Array(1e6)) } catch (e) { throw e } }",
    ],
)
def test_a_script_that_takes_too_much_memory_is_stopped(body, monkeypatch):
    monkeypatch.setattr(pac_sandbox, "CALL_CPU_SECONDS", 10)
    monkeypatch.setattr(pac_sandbox, "MAX_MEMORY_BYTES", 16 << 20)
    with pytest.raises(
        ScriptError, match=r"more than 16 MB of memory|invalid (string|array) length|too long"
    ) as caught:
        call(body)
    assert caught.value.is_limit or "memory" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "return FindProxyForURL(url, host) + 1",
        "return eval('('.repeat(100000))",
        "let s = '['.repeat(100000); return JSON.parse(s)",
        "let a = []; for (let i = 0; i < 100000; i++) a = [a]; return JSON.stringify(a)",
        "let a = []; for (let i = 0; i < 100000; i++) a = [a]; return a.flat(Infinity).join()",
        "return new RegExp('(?:'.repeat(100000) + ')'.repeat(100000)).test('')",
        "const p = { toString() { return String(p) } }; return String(p)",
    ],
)
def test_recursion_has_an_end(body):
    with pytest.raises(ScriptError, match=r"stack|recursion") as caught:
        call(body)
    assert not caught.value.is_limit


def test_recursion_has_an_end_in_a_thread_too():
    told: list[str] = []

    def work() -> None:
        with pytest.raises(ScriptError) as caught:
            call("return FindProxyForURL(url, host) + 1")
        told.append(caught.value.reason)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "stack" in told[0]


def test_without_any_memory_left_nothing_breaks(monkeypatch):
    """From a limit that does not suffice for a call up to one that does."""
    monkeypatch.setattr(pac_sandbox, "LOAD_CPU_SECONDS", 5)
    monkeypatch.setattr(pac_sandbox, "CALL_CPU_SECONDS", 5)
    body = (
        "const a = []; for (let i = 0; i < 300; i++) a.push({ i, s: url + i }); return 'PROXY p' + a.length"
    )
    outcomes = set()
    for limit in range(150_000, 700_000, 7919):
        monkeypatch.setattr(pac_sandbox, "MAX_MEMORY_BYTES", limit)
        sandbox = Sandbox(script_that(body))
        try:
            outcomes.add(sandbox.call(CALL, {}).answer)
        except ScriptError as error:
            outcomes.add("limit" if error.is_limit else "error")
    assert {"PROXY p300", "limit"} <= outcomes


# After a limit


def test_a_script_lives_on_after_a_limit_and_its_state_does_not():
    sandbox = Sandbox(
        script_that("calls++; if (host === 'loop') for (;;); return 'PROXY p' + calls", "var calls = 0")
    )
    assert [sandbox.call(CALL, {}).answer for _ in range(2)] == ["PROXY p1", "PROXY p2"]
    with pytest.raises(ScriptError, match=OUT_OF_TIME):
        sandbox.call(Call("http://loop/", "loop"), {})
    assert repr(sandbox) == "<Sandbox not loaded>"
    assert sandbox.call(CALL, {}).answer == "PROXY p1"
    assert repr(sandbox) == "<Sandbox loaded>"


def test_an_error_of_its_own_leaves_a_script_its_state():
    sandbox = Sandbox(
        script_that("calls++; if (calls == 2) throw 'no'; return 'PROXY p' + calls", "var calls = 0")
    )
    assert sandbox.call(CALL, {}).answer == "PROXY p1"
    with pytest.raises(ScriptError, match="no"):
        sandbox.call(CALL, {})
    assert sandbox.call(CALL, {}).answer == "PROXY p3"


def test_what_is_loaded_while_the_network_changes_is_not_kept(monkeypatch):
    sandbox = Sandbox(script_that("return 'DIRECT'"))
    load = pac_sandbox._load

    def load_meanwhile(request):
        sandbox.unload()
        return load(request)

    monkeypatch.setattr(pac_sandbox, "_load", load_meanwhile)
    assert sandbox.call(CALL, {}).answer == "DIRECT"
    assert repr(sandbox) == "<Sandbox not loaded>"


#: One step that looks at no limit: about a second.
LONG_STEP = "if (host === 'long') new Array(3e7).join(''); return 'PROXY done'"


async def test_a_step_that_looks_at_no_limit_is_left_behind_and_not_joined_by_others() -> None:
    lane = Offload("pac", 1, 0.2)

    async def resolve(host: str) -> list[str]:
        raise AssertionError

    script = PacScript(
        script_that(LONG_STEP),
        "proxy.pac",
        run=lane.run,
        resolve=resolve,
        my_addresses=list,
        now=time.monotonic,
    )
    assert (await script.find_routes("http://a/", "a")).text == "PROXY done"
    with pytest.raises(PacError, match="did not return in time"):
        await script.find_routes("http://long/", "long")
    with pytest.raises(PacError, match="an earlier call of it has not ended yet"):
        await script.find_routes("http://b/", "b")
    assert lane._left_behind == 1
    text = ""
    async with asyncio.timeout(30):
        while not text:
            with suppress(PacError):
                text = (await script.find_routes(f"http://c/{time.monotonic()}", "c")).text
            await asyncio.sleep(0.02)
    assert text == "PROXY done"


async def test_the_loop_runs_on_while_a_script_loops() -> None:
    lane = Offload("pac", 1, 5)
    looping = asyncio.create_task(lane.run(Sandbox(script_that("for (;;);")).call, CALL, {}))
    turns = 0
    while not looping.done():
        await asyncio.sleep(0.005)
        turns += 1
    with pytest.raises(ScriptError, match=OUT_OF_TIME):
        await looping
    assert turns >= 5


# Size


def test_a_script_of_five_megabytes(monkeypatch):
    monkeypatch.setattr(pac_sandbox, "LOAD_CPU_SECONDS", 30)
    monkeypatch.setattr(pac_sandbox, "CALL_CPU_SECONDS", 5)
    rule = "if (shExpMatch(host, '*.d{}.example.com')) return 'PROXY p{}:80';\n"
    rules = "".join(rule.format(number, number) for number in range(80_000))
    assert 4.5e6 < len(rules) < 6e6
    sandbox = Sandbox(script_that(rules + "return 'PROXY last'"))
    assert sandbox.call(Call("http://a/", "a.test"), {}).answer == "PROXY last"
    assert sandbox.call(Call("http://a/", "x.d79999.example.com"), {}).answer == "PROXY p79999:80"


def test_five_megabytes_of_anything_else_are_an_error(monkeypatch):
    monkeypatch.setattr(pac_sandbox, "LOAD_CPU_SECONDS", 10)
    for text in ("x" * 5_000_000, "(" * 5_000_000, "\0" * 5_000_000, "a=1;" * 1_250_000, "é" * 5_000_000):
        with pytest.raises(ScriptError):
            Sandbox(text).call(CALL, {})


def test_what_is_shown_to_people_holds_no_commands_to_a_terminal_and_is_text():
    assert call(r"alert('a\x1b[2J\nb\ud800'); return 'DIRECT'").alerts == ("a?[2J?b?",)
    with pytest.raises(ScriptError) as caught:
        call(r"throw new Error('a\x1b[2J\ud800')")
    assert caught.value.reason == "Error: a?[2J?"


def test_half_of_a_surrogate_pair_is_in_no_name():
    assert call(r"return String(isResolvable('a\ud800'))").answer == "false"


def test_texts_come_through_as_they_are():
    outcome = call(r"alert(url); return 'PROXY ' + host + '\0\ud800\u{1f600}'")
    assert outcome.answer == "PROXY a.test\0\ud800\U0001f600"
    odd = Call("http://\0\ud800/", "é\0\ud800")
    assert Sandbox(script_that("return JSON.stringify([url, host])")).call(odd, {}).answer == json.dumps(
        ["http://\0\ud800/", "é\0\ud800"], ensure_ascii=False, separators=(",", ":")
    ).replace("\ud800", "\\ud800")

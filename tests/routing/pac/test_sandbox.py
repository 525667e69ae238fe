"""Scripts that loop, fill memory, recurse and play tricks: none exceeds its limits or stops Px."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading

import pytest

from px.io.thread_lane import ThreadLane
from px.routing.pac import sandbox as sandbox_module
from px.routing.pac.sandbox import Call, Outcome, Sandbox, ScriptError

CALL = Call("http://a.test/", "a.test", ("10.0.0.1",))
#: On Windows the limit is elapsed time, which other programs also use up.
CPU_SECONDS = 0.5 if sys.platform == "win32" else 0.1
OUT_OF_TIME = re.escape(f"more than {CPU_SECONDS} s of processor time")
#: Ways to turn every method that Python may call on an exception into an endless loop.
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
    """Shorten the limit, which counts the processor time of all threads; no other thread works here."""
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", CPU_SECONDS)
    monkeypatch.setattr(sandbox_module, "LOAD_CPU_SECONDS", CPU_SECONDS)


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
def test_traps_run_only_within_the_limits(body):
    with pytest.raises(ScriptError):
        call(body, TRAPS)


def test_traps_while_a_script_is_loaded_run_within_the_limits():
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
def test_a_script_that_changes_built_in_objects_harms_only_itself(trick):
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
def test_an_answer_in_an_unknown_form_is_an_error(trick):
    with pytest.raises(ScriptError):
        call("return 'DIRECT'", trick)


@pytest.mark.parametrize("depth", [400_000, 600_000])
def test_an_endless_result_is_not_read(depth):
    """The result is nested too deeply for a parser's stack, and longer than any result of Px."""
    with pytest.raises(ScriptError, match="broke the engine that runs it"):
        sandbox_module._run(lambda _: "[" * depth, {}, 1.0)


@pytest.mark.parametrize(
    "name", ["Atomics", "SharedArrayBuffer", "require", "process", "std", "os", "px_find"]
)
def test_a_script_has_no_way_to_wait_or_to_reach_outside(name):
    assert call(f"return typeof {name}").answer == "undefined"


def test_a_promise_is_no_answer():
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
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 10)
    monkeypatch.setattr(sandbox_module, "MAX_MEMORY_BYTES", 16 << 20)
    with pytest.raises(
        ScriptError, match=r"more than 16 MB of memory|invalid (string|array) length|too long"
    ) as caught:
        call(body)
    assert caught.value.is_limit or "memory" not in str(caught.value)


def test_memory_that_ends_in_the_middle_of_a_regular_expression_is_a_limit(monkeypatch):
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 10)
    monkeypatch.setattr(sandbox_module, "MAX_MEMORY_BYTES", 16 << 20)
    with pytest.raises(ScriptError, match="more than 16 MB of memory") as caught:
        call("throw new InternalError('out of memory in regexp execution')")
    assert caught.value.is_limit


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
def test_endless_recursion_is_an_error(body):
    with pytest.raises(ScriptError, match=r"stack|recursion") as caught:
        call(body)
    assert not caught.value.is_limit


def test_endless_recursion_is_an_error_in_a_thread_too():
    reasons: list[str] = []

    def work() -> None:
        with pytest.raises(ScriptError) as caught:
            call("return FindProxyForURL(url, host) + 1")
        reasons.append(caught.value.reason)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "stack" in reasons[0]


def test_the_sandbox_survives_every_small_limit_of_memory(monkeypatch):
    """The limits go from one that is too small for a call to one that is large enough."""
    monkeypatch.setattr(sandbox_module, "LOAD_CPU_SECONDS", 5)
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 5)
    body = (
        "const a = []; for (let i = 0; i < 300; i++) a.push({ i, s: url + i }); return 'PROXY p' + a.length"
    )
    outcomes = set()
    for limit in range(150_000, 700_000, 7919):
        monkeypatch.setattr(sandbox_module, "MAX_MEMORY_BYTES", limit)
        sandbox = Sandbox(script_that(body))
        try:
            outcomes.add(sandbox.call(CALL, {}).answer)
        except ScriptError as error:
            outcomes.add("limit" if error.is_limit else "error")
    assert {"PROXY p300", "limit"} <= outcomes


# After a limit


def test_after_a_limit_a_script_still_answers_but_its_state_is_gone():
    sandbox = Sandbox(
        script_that("calls++; if (host === 'loop') for (;;); return 'PROXY p' + calls", "var calls = 0")
    )
    assert [sandbox.call(CALL, {}).answer for _ in range(2)] == ["PROXY p1", "PROXY p2"]
    with pytest.raises(ScriptError, match=OUT_OF_TIME):
        sandbox.call(Call("http://loop/", "loop"), {})
    assert repr(sandbox) == "<Sandbox not loaded>"
    assert sandbox.call(CALL, {}).answer == "PROXY p1"
    assert repr(sandbox) == "<Sandbox loaded>"


def test_a_script_keeps_its_state_after_its_own_error():
    sandbox = Sandbox(
        script_that("calls++; if (calls == 2) throw 'no'; return 'PROXY p' + calls", "var calls = 0")
    )
    assert sandbox.call(CALL, {}).answer == "PROXY p1"
    with pytest.raises(ScriptError, match="no"):
        sandbox.call(CALL, {})
    assert sandbox.call(CALL, {}).answer == "PROXY p3"


async def test_the_event_loop_runs_while_a_script_loops() -> None:
    lane = ThreadLane("pac", 1, 5)
    looping = asyncio.create_task(lane.run(Sandbox(script_that("for (;;);")).call, CALL, {}))
    turns = 0
    while not looping.done():
        await asyncio.sleep(0.005)
        turns += 1
    with pytest.raises(ScriptError, match=OUT_OF_TIME):
        await looping
    assert turns >= 5


# Size


def test_a_script_of_five_megabytes_works(monkeypatch):
    monkeypatch.setattr(sandbox_module, "LOAD_CPU_SECONDS", 30)
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 5)
    rule = "if (shExpMatch(host, '*.d{}.example.com')) return 'PROXY p{}:80';\n"
    rules = "".join(rule.format(number, number) for number in range(80_000))
    assert 4.5e6 < len(rules) < 6e6
    sandbox = Sandbox(script_that(rules + "return 'PROXY last'"))
    assert sandbox.call(Call("http://a/", "a.test"), {}).answer == "PROXY last"
    assert sandbox.call(Call("http://a/", "x.d79999.example.com"), {}).answer == "PROXY p79999:80"


def test_five_megabytes_of_anything_else_are_an_error(monkeypatch):
    monkeypatch.setattr(sandbox_module, "LOAD_CPU_SECONDS", 10)
    for text in ("x" * 5_000_000, "(" * 5_000_000, "\0" * 5_000_000, "a=1;" * 1_250_000, "é" * 5_000_000):
        with pytest.raises(ScriptError):
            Sandbox(text).call(CALL, {})


def test_text_for_people_has_no_terminal_commands_and_is_valid():
    assert call(r"alert('a\x1b[2J\nb\ud800'); return 'DIRECT'").alerts == ("a?[2J?b?",)
    with pytest.raises(ScriptError) as caught:
        call(r"throw new Error('a\x1b[2J\ud800')")
    assert caught.value.reason == "Error: a?[2J?"


def test_a_name_has_no_half_of_a_surrogate_pair():
    assert call(r"return String(isResolvable('a\ud800'))").answer == "false"


def test_texts_pass_unchanged():
    outcome = call(r"alert(url); return 'PROXY ' + host + '\0\ud800\u{1f600}'")
    assert outcome.answer == "PROXY a.test\0\ud800\U0001f600"
    odd = Call("http://\0\ud800/", "é\0\ud800")
    assert Sandbox(script_that("return JSON.stringify([url, host])")).call(odd, {}).answer == json.dumps(
        ["http://\0\ud800/", "é\0\ud800"], ensure_ascii=False, separators=(",", ":")
    ).replace("\ud800", "\\ud800")


def test_no_pattern_of_a_call_is_forgotten_before_the_next_one(monkeypatch):
    """Each pattern is an object that counts its conversions to text."""
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 20)
    sandbox = Sandbox(
        script_that(
            "for (const each of patterns) if (shExpMatch(host, each)) return ''; return 'PROXY p' + made",
            "var made = 0, patterns = [];"
            "for (let i = 0; i < 50000; i++) patterns.push({ toString() { made++; return `*.${i}.test` } });",
        )
    )
    assert [sandbox.call(CALL, {}).answer for _ in range(3)] == ["PROXY p50000"] * 3


def test_patterns_that_are_new_in_each_call_are_forgotten(monkeypatch):
    """These patterns would otherwise take 200 MB, and 128 MB are allowed."""
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 20)
    sandbox = Sandbox(
        script_that(
            "for (let i = 0; i < 20000; i++) shExpMatch(host, `*${calls}.${i}.${long}`);"
            "return 'PROXY p' + calls++",
            "var calls = 0, long = 'x'.repeat(500);",
        )
    )
    assert [sandbox.call(CALL, {}).answer for _ in range(10)] == [f"PROXY p{number}" for number in range(10)]


def test_fifty_thousand_networks_are_kept_as_well(monkeypatch):
    monkeypatch.setattr(sandbox_module, "CALL_CPU_SECONDS", 20)
    networks = [f"10.{number >> 8 & 255}.{number & 255}.0" for number in range(50_000)]
    rule = "if (isInNet(host, '{}', '255.255.255.0')) return 'PROXY {}';"
    sandbox = Sandbox(script_that("".join(rule.format(each, each) for each in networks) + "return 'DIRECT'"))
    for host, answer in (
        ("10.1.2.3", "PROXY 10.1.2.0"),
        ("11.0.0.1", "DIRECT"),
        ("10.195.79.1", "PROXY 10.195.79.0"),
    ):
        assert sandbox.call(Call("", host), {}).answer == answer

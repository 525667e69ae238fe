"""A PAC script in a process of its own: its input, its limits, and the results of its calls."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from px.core.errors import UnreachableError
from px.core.message_line import format_line, parse_line
from px.io.thread_lane import ThreadLane
from px.routing.pac import engine as engine_module
from px.routing.pac import process as process_module
from px.routing.pac.engine import PacScript
from px.routing.pac.process import MAX_OVERRUNS, PacProcess
from px.routing.pac.sandbox import Call, ScriptError
from px.system.process.bare_process import BareProcess, start_bare_process
from px.system.process.child_command import PAC_ARGUMENT
from tests.routing.pac.test_sandbox import TRAPS

CALL = Call("http://a.test/", "a.test", ("10.0.0.1",))
#: Half a second.
BUSY = "for (const end = Date.now() + 500; Date.now() < end;);"

Load = Callable[[str], PacProcess]

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")


def script_that(body: str, before: str = "") -> str:
    return f"{before}\nfunction FindProxyForURL(url, host) {{\n{body}\n}}"


class Starter:
    """Starts processes, and counts them."""

    def __init__(self, argument: str = PAC_ARGUMENT) -> None:
        self.argument = argument
        self.started = 0
        self.now = 100.0
        self.loaded: list[PacProcess] = []

    def __call__(self) -> BareProcess:
        self.started += 1
        return start_bare_process(self.argument)

    def load(self, text: str) -> PacProcess:
        process = PacProcess(text, self, ThreadLane("pac", 1, 30.0).run, lambda: self.now)
        self.loaded.append(process)
        return process


@pytest.fixture(autouse=True)
def long_deadline(monkeypatch) -> None:
    """Give an overloaded computer enough time to spend a second of processor time on a script."""
    monkeypatch.setattr(process_module, "CALL_SECONDS", 60.0)
    monkeypatch.setattr(process_module, "LOAD_SECONDS", 60.0)


@pytest.fixture
async def starter() -> AsyncIterator[Starter]:
    starter = Starter()
    yield starter
    for process in starter.loaded:
        process.close()


async def wait_gone(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(psutil.Process(pid).wait, 30)


# Input


async def test_the_first_call_starts_the_process_and_later_calls_use_it(starter) -> None:
    script = starter.load(script_that("calls++; return 'PROXY p' + calls", "var calls = 0"))
    assert (starter.started, script.pid) == (0, 0)
    answers = [(await script.call(CALL, {})).answer for _ in range(3)]
    assert (answers, starter.started) == (["PROXY p1", "PROXY p2", "PROXY p3"], 1)
    pid = script.pid
    assert repr(script) == f"<PacProcess pid={pid}>"
    script.close()
    assert script.pid == 0
    await wait_gone(pid)


async def test_the_process_can_be_started_before_the_first_call(starter) -> None:
    script = starter.load(script_that("return 'PROXY p'"))
    await script.load(CALL)
    assert script.pid
    assert (await script.call(CALL, {})).answer == "PROXY p"
    assert starter.started == 1


async def test_a_caller_cancelled_during_the_start_leaves_no_process_behind(starter) -> None:
    started: list[BareProcess] = []

    def start() -> BareProcess:
        started.append(starter())
        return started[0]

    script = PacProcess(script_that("return 'DIRECT'"), start, ThreadLane("pac", 1, 30.0).run, time.monotonic)
    loading = asyncio.create_task(script.load(CALL))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    async with asyncio.timeout(30):
        while not started:  # noqa: ASYNC110 - a thread starts it
            await asyncio.sleep(0.01)
    await wait_gone(started[0].pid)
    assert script.pid == 0


async def test_a_call_gets_its_arguments_and_returns_an_outcome(starter) -> None:
    script = starter.load(
        script_that(
            "alert('said'); return [url, host, dnsResolve('b.test'), isResolvable('c'), myIpAddress()].join()"
        )
    )
    assert (await script.call(CALL, {})).missing == ("b.test",)
    outcome = await script.call(CALL, {"b.test": ("10.0.0.2",)}, is_last=True)
    assert outcome.answer == "http://a.test/,a.test,10.0.0.2,false,10.0.0.1"
    assert (outcome.alerts, outcome.scope) == (("said",), "once")


async def test_texts_pass_unchanged(starter) -> None:
    script = starter.load(script_that("return '\0\ud800\U0001f600é' + host"))
    outcome = await script.call(Call("http://a/", "é\0\ud800"), {})
    assert outcome.answer == "\0\ud800\U0001f600éé\0\ud800"


async def test_a_script_of_five_megabytes_is_sent_in_parts(starter) -> None:
    rule = "if (shExpMatch(host, '*.d{}.example.com')) return 'PROXY p{}:80';\n"
    rules = "".join(rule.format(number, number) for number in range(80_000))
    script = starter.load(script_that(rules + "return 'PROXY last'"))
    assert (await script.call(CALL, {})).answer == "PROXY last"
    assert (await script.call(Call("", "x.d79999.example.com"), {})).answer == "PROXY p79999:80"
    assert starter.started == 1


async def test_fifty_thousand_patterns_can_be_compiled(starter) -> None:
    rule = "if (shExpMatch(url, 'http://*.d{}.test/*a?b')) return 'DIRECT';\n"
    rules = "".join(map(rule.format, range(50_000)))
    script = starter.load(script_that(rules + "return 'PROXY last'"))
    assert (await script.call(CALL, {})).answer == "PROXY last"
    assert (await script.call(Call("http://x.d49999.test/acb", ""), {})).answer == "DIRECT"
    assert starter.started == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_process_has_no_secret_and_no_open_file(starter, monkeypatch) -> None:
    for name in ("PX_PASSWORD", "PX_NTHASH", "https_proxy", "ANYTHING"):
        monkeypatch.setenv(name, "http://user:a-secret@proxy.test")
    script = starter.load(script_that("return 'DIRECT'"))
    with Path(__file__).open() as file:  # noqa: ASYNC230
        os.set_inheritable(file.fileno(), True)
        await script.call(CALL, {})
    place = Path("/proc") / str(script.pid)
    names = {entry.partition(b"=")[0] for entry in (place / "environ").read_bytes().split(b"\0")}
    assert names <= {b"PATH", b"LD_LIBRARY_PATH", b"PYTHONHOME", b"TZ", b"TZDIR", b""}
    assert b"a-secret" not in (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
    files = {entry.name: str(entry.readlink()) for entry in (place / "fd").iterdir()}
    assert files.pop("0").startswith("socket:")
    assert files == {"1": "/dev/null", "2": "/dev/null"}
    assert (place / "cwd").readlink() == Path("/")
    limits = {
        line[:26].strip(): line[26:].split()[:2] for line in (place / "limits").read_text().splitlines()
    }
    assert limits["Max open files"] == ["0", "0"]  # besides those that are open
    assert limits["Max core file size"] == limits["Max file size"] == ["0", "0"]
    assert int(limits["Max address space"][0]) < 2**30


async def test_the_process_does_not_import_the_proxy(starter) -> None:
    code = (
        "import sys; import px.cli.main, px.routing.pac.child, px.system.process.bare_process, quickjs;"
        "print(*sorted(name for name in sys.modules if name.startswith('px.') or name == 'asyncio'))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True)
    modules = done.stdout.split()
    assert "asyncio" not in modules
    assert {".".join(name.split(".")[:2]) for name in modules} == {
        "px.cli",
        "px.core",
        "px.routing",
        "px.system",
    }
    assert {name for name in modules if name.startswith("px.routing.")} == {
        "px.routing.pac",
        "px.routing.pac.child",
        "px.routing.pac.sandbox",
        "px.routing.pac.answer_scope",
    }


# Stack


@pytest.mark.parametrize("count", [800, 3000, 10_000])
async def test_a_script_may_have_a_long_chain_of_else_if(starter, count) -> None:
    rules = "\nelse ".join(
        f'if (host == "a{number}.test") return "PROXY p{number}"' for number in range(count)
    )
    script = starter.load(script_that(rules))
    assert (await script.call(Call("", f"a{count - 1}.test"), {})).answer == f"PROXY p{count - 1}"


@pytest.mark.parametrize("depth", [200, 1000, 5000])
async def test_a_script_may_recurse_deeply(starter, depth) -> None:
    script = starter.load(
        script_that(
            f"return 'PROXY p' + sum({depth}) + each({depth // 5})",
            "function sum(n) { return n ? 1 + sum(n - 1) : 0 }"
            "function each(n) { return n ? [n].map((n) => each(n - 1))[0] : 0 }",
        )
    )
    assert (await script.call(CALL, {})).answer == f"PROXY p{depth}0"


@pytest.mark.parametrize(
    "body",
    [
        "return " + "(" * 3000 + "'PROXY p'" + ")" * 3000,
        "return " + "".join(f"host === 'a{number}' ? 'DIRECT' : " for number in range(3000)) + "'PROXY p'",
        "if (" + " || ".join(f"host === 'a{number}'" for number in range(10_000)) + "); return 'PROXY p'",
        "".join(f"if (host !== 'a{number}') {{" for number in range(3000)) + "return 'PROXY p'" + "}" * 3000,
        "return /^(" + "|".join(f"a{number}" for number in range(3000)) + ")$/.test(host) ? '' : 'PROXY p'",
        "return " + "[" * 3000 + "'PROXY p'" + "]" * 3000 + ".toString()",
        "return " + "+".join(f"'{'PROXY p' if number == 0 else ''}'" for number in range(10_000)),
    ],
    ids=["parentheses", "conditional", "or", "if in if", "regular expression", "array in array", "sum"],
)
async def test_a_script_may_have_long_and_deep_expressions(starter, body) -> None:
    assert (await starter.load(script_that(body)).call(CALL, {})).answer == "PROXY p"


async def test_endless_recursion_is_an_error_and_the_process_stays_alive(starter) -> None:
    script = starter.load(script_that("return host ? FindProxyForURL(url, host) + 1 : 'DIRECT'"))
    with pytest.raises(ScriptError, match="Maximum call stack size exceeded"):
        await script.call(CALL, {})
    assert (await script.call(Call("", ""), {})).answer == "DIRECT"
    assert starter.started == 1


# Limits


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("for (;;);", "more than 1 s of processor time"),
        ("const a = []; for (;;) a.push(new Array(1e5).fill(a.length))", "more than 128 MB of memory"),
        ("const a = []; for (;;) a.push(new ArrayBuffer(1e7))", "more than 128 MB of memory"),
    ],
)
async def test_a_script_that_overruns_fails_one_call(starter, body, reason) -> None:
    script = starter.load(script_that(f"if (host === 'bad') {{ {body} }} return 'PROXY ' + host"))
    assert (await script.call(CALL, {})).answer == "PROXY a.test"
    pid = script.pid
    with pytest.raises(ScriptError, match=reason) as caught:
        await script.call(Call("", "bad"), {})
    assert caught.value.is_limit
    await wait_gone(pid)
    assert (await script.call(CALL, {})).answer == "PROXY a.test"
    assert starter.started == 2


async def test_px_kills_a_process_in_a_step_that_ignores_the_limits(starter, monkeypatch) -> None:
    monkeypatch.setattr(process_module, "CALL_SECONDS", 1.0)
    script = starter.load(script_that("if (host === 'bad') new Array(1e9).join(); return 'PROXY ' + host"))
    await script.call(CALL, {})
    pid = script.pid
    with pytest.raises(ScriptError, match="did not return in time") as caught:
        await script.call(Call("", "bad"), {})
    assert (caught.value.is_limit, caught.value.is_loading) == (True, False)
    await wait_gone(pid)
    monkeypatch.setattr(process_module, "CALL_SECONDS", 60.0)
    assert (await script.call(CALL, {})).answer == "PROXY a.test"


async def test_a_script_that_overruns_while_it_is_loaded_ahead_is_an_error(starter) -> None:
    script = starter.load("const a = []; for (;;) a.push(new Array(1e5).fill(a.length));")
    with pytest.raises(ScriptError, match="more than 128 MB of memory") as caught:
        await script.load(CALL)
    assert (caught.value.is_loading, script.pid) == (True, 0)


async def test_a_script_that_hangs_while_it_is_loaded_is_an_error(starter, monkeypatch) -> None:
    monkeypatch.setattr(process_module, "LOAD_SECONDS", 1.0)
    script = starter.load("new Array(1e9).join();" + script_that("return 'DIRECT'"))
    with pytest.raises(ScriptError, match="did not return in time") as caught:
        await script.call(CALL, {})
    assert caught.value.is_loading


@pytest.mark.parametrize(
    ("body", "before"),
    [
        ("throw new Error('x')", TRAPS),
        ("throw { toString() { throw 1 } }", ""),
        ("return 5", ""),
        ("return { toString() { for (;;); } }", ""),
        ("return 'x'.repeat(1e6)", ""),
        ("return 'DIRECT'", "Object.prototype.toJSON = () => ({ answer: ';'.repeat(1e6) })"),
        ("return 'DIRECT'", "Object.prototype.toJSON = () => ({ missing: {}, is_tainted: {} })"),
    ],
)
async def test_no_exception_or_result_of_a_script_breaks_the_process(starter, body, before) -> None:
    script = starter.load(script_that(f"if (host === 'good') return 'PROXY good'; {body}", before))
    with pytest.raises(ScriptError):
        await script.call(CALL, {})
    if not before:
        assert (await script.call(Call("", "good"), {})).answer == "PROXY good"


# The process ends, or is stopped


@needs_signals
async def test_a_call_whose_process_is_killed_is_answered_by_another(starter) -> None:
    script = starter.load(script_that("return 'PROXY ' + host"))
    await script.call(CALL, {})
    os.kill(script.pid, signal.SIGSTOP)  # otherwise the process might answer before it is killed
    calling = asyncio.create_task(script.call(Call("", "b"), {}))
    await asyncio.sleep(0.05)
    os.kill(script.pid, signal.SIGKILL)
    assert (await calling).answer == "PROXY b"
    assert starter.started == 2


@needs_signals
async def test_a_process_killed_between_two_calls_fails_neither(starter) -> None:
    script = starter.load(script_that("return 'PROXY ' + host"))
    for number in range(3):
        assert (await script.call(Call("", f"h{number}"), {})).answer == f"PROXY h{number}"
        os.kill(script.pid, signal.SIGKILL)
        if number:
            await wait_gone(script.pid)
    assert starter.started == 3


@needs_signals
async def test_a_stopped_process_fails_one_call(starter, monkeypatch) -> None:
    script = starter.load(script_that("return 'PROXY ' + host"))
    await script.call(CALL, {})
    pid = script.pid
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(process_module, "CALL_SECONDS", 0.3)
    with pytest.raises(ScriptError, match="did not return in time"):
        await script.call(Call("", "b"), {})
    await wait_gone(pid)
    monkeypatch.setattr(process_module, "CALL_SECONDS", 60.0)
    assert (await script.call(Call("", "b"), {})).answer == "PROXY b"


async def test_a_process_that_always_ends_is_not_restarted_without_limit() -> None:
    starter = Starter("--version")  # prints the version and ends
    script = starter.load(script_that("return 'DIRECT'"))
    for _ in range(MAX_OVERRUNS):
        with pytest.raises(ScriptError, match="its process ended before it answered"):
            await script.call(CALL, {})
    assert starter.started == 2 * MAX_OVERRUNS
    for _ in range(20):
        with pytest.raises(ScriptError, match=f"failed {MAX_OVERRUNS} times in a row"):
            await script.call(CALL, {})
    assert starter.started == 2 * MAX_OVERRUNS
    starter.argument = PAC_ARGUMENT
    starter.now += process_module.PAUSE_SECONDS
    assert (await script.call(CALL, {})).answer == "DIRECT"
    script.close()


async def test_a_process_that_cannot_be_started_is_an_error_with_its_cause() -> None:
    def start() -> BareProcess:
        raise OSError(12, "Cannot allocate memory")

    script = PacProcess(script_that(""), start, ThreadLane("pac", 1, 30.0).run, time.monotonic)
    with pytest.raises(ScriptError, match="cannot be started: Cannot allocate memory"):
        await script.call(CALL, {})


async def test_the_answer_to_a_cancelled_call_goes_to_no_other_call(starter) -> None:
    script = starter.load(script_that("if (host === 'b') new Array(1e9).join(); return 'PROXY ' + host"))
    await script.call(CALL, {})
    calling = asyncio.create_task(script.call(Call("", "b"), {}))
    await asyncio.sleep(0.05)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (await script.call(Call("", "c"), {})).answer == "PROXY c"


async def test_a_script_loaded_while_the_network_changes_is_loaded_again(starter) -> None:
    script = starter.load(script_that(f"{BUSY} calls++; return 'PROXY p' + calls", "var calls = 0"))
    calling = asyncio.create_task(script.call(CALL, {}))
    await asyncio.sleep(0.3)  # the script may be starting, loading or running now; each is fine
    script.unload()
    assert (await calling).answer == "PROXY p1"
    assert (await script.call(CALL, {})).answer == "PROXY p1"
    assert (await script.call(CALL, {})).answer == "PROXY p2"
    assert starter.started == 1


async def test_two_hundred_new_hosts_get_answers_while_the_script_overruns(starter, monkeypatch) -> None:
    """One request gets an error. The others wait for the next process and get their own answers."""
    monkeypatch.setattr(engine_module, "MAX_SECONDS", 120.0)

    async def resolve(host: str) -> tuple[str, ...]:
        raise UnreachableError(host)

    process = starter.load(script_that("if (host === 'h7') for (;;); return 'PROXY ' + host"))
    script = PacScript(process, "", resolve=resolve, my_addresses=list, now=time.monotonic)
    hosts = [f"h{number}" for number in range(200)]
    asking = [script.find_routes(f"http://{host}/", host) for host in hosts]
    results = await asyncio.gather(*asking, return_exceptions=True)
    outcomes = {
        host: getattr(result, "text", str(result)) for host, result in zip(hosts, results, strict=True)
    }
    assert "processor time" in outcomes.pop("h7")
    assert outcomes == {host: f"PROXY {host}" for host in hosts if host != "h7"}
    assert starter.started == 2


# Messages of a process that a script controls

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_JSON = _PLAIN | st.lists(_PLAIN, max_size=3) | st.dictionaries(st.text(), _PLAIN, max_size=3)
_ANSWER = st.fixed_dictionaries(
    {
        "answer": st.text() | _JSON,
        "scope": st.sampled_from(["host", "url", "once"]) | _JSON,
        "missing": st.lists(st.text()) | _JSON,
        "alerts": st.lists(st.text()) | _JSON,
        "is_tainted": _JSON,
    }
)
_ERROR = st.fixed_dictionaries({"error": _JSON, "line": _JSON, "is_limit": _JSON, "is_loading": _JSON})


class TakenOverProcess:
    """Answers each question of Px with the same line."""

    pid = 1

    def __init__(self, line: bytes) -> None:
        self.sock, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(line)
        self.sock.setblocking(False)

    def end(self) -> None:
        self.sock.close()


@given(_ANSWER | _ERROR | st.dictionaries(st.text(), _JSON))
def test_every_message_of_the_process_is_an_outcome_or_an_error(message) -> None:
    with contextlib.suppress(ScriptError, ValueError, TypeError, KeyError, OverflowError):
        outcome = process_module._read_answer(parse_line(format_line(message)))
        assert {type(each) for each in (outcome.answer, *outcome.missing, *outcome.alerts)} == {str}
        assert all(alert.isprintable() for alert in outcome.alerts)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no json\n",
        b"[]\n",
        b"[" * 50_000 + b"\n",
        b'{"error": "x", "line": 1e999, "is_limit": 0, "is_loading": 0}\n',
        b'{"answer": 5}\n',
    ],
)
async def test_a_message_in_an_unknown_form_ends_the_process(line) -> None:
    def start() -> TakenOverProcess:
        return TakenOverProcess(line)

    script = PacProcess("", start, ThreadLane("pac", 1, 30.0).run, time.monotonic)
    with pytest.raises(ScriptError, match="its process ended before it answered"):
        await script.call(CALL, {})
    assert script.pid == 0


# Px ends

ORPHAN = f"""
import asyncio, functools, sys, time
from px.io.thread_lane import ThreadLane
from px.routing.pac.process import PacProcess
from px.routing.pac.sandbox import Call
from px.system.process.bare_process import start_bare_process
async def main():
    start = functools.partial(start_bare_process, "{PAC_ARGUMENT}")
    script = PacProcess(sys.argv[1], start, ThreadLane("pac", 1, 30.0).run, time.monotonic)
    await script.call(Call("", "a"), {{}})
    calling = asyncio.create_task(script.call(Call("", "stuck"), {{}}))
    await asyncio.sleep(0.2)
    print(script.pid, flush=True)
    await calling
asyncio.run(main())
"""


async def test_the_process_ends_with_px_even_in_the_middle_of_a_step() -> None:
    text = script_that("if (host === 'stuck') new Array(1e9).join(); return 'DIRECT'")
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}\n{ORPHAN}", text]
    parent = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    await parent.wait()
    await wait_gone(pid)


def test_a_process_that_has_ended_is_reaped() -> None:
    process = partial(start_bare_process, "--version")()
    child = psutil.Process(process.pid)
    process.end()
    child.wait(30)
    assert repr(process) == f"<BareProcess {process.pid}>"

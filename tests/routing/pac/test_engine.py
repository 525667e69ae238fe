"""Routes from a PAC script: names, kept answers, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from px.core.errors import PacError, UnreachableError
from px.core.rules.route import Direct, UpstreamAddress, Via
from px.io.thread_lane import ThreadLane
from px.routing.pac import engine as engine_module
from px.routing.pac.engine import PacAnswer, PacScript
from px.routing.pac.sandbox import Call, Outcome, Sandbox

URL, HOST = "http://www.example.com/path", "www.example.com"


def script_that(body: str) -> str:
    return f"function FindProxyForURL(url, host) {{\n{body}\n}}"


class ScriptInLane:
    """A script that runs in a thread of this process instead of a process of its own."""

    def __init__(self, text: str, run: Callable[..., Any]) -> None:
        self._text = text
        self._sandbox = Sandbox(text)
        self._run = run
        self.closed = 0

    async def call(self, call: Call, names: Mapping[str, Sequence[str]], *, is_last: bool = False) -> Outcome:
        outcome: Outcome = await self._run(partial(self._sandbox.call, call, names, is_last=is_last))
        return outcome

    async def load(self, call: Call) -> None:
        await self._run(partial(self._sandbox.load, call, {}))

    def unload(self) -> None:
        self._sandbox = Sandbox(self._text)

    def close(self) -> None:
        self.closed += 1


class World:
    """The surroundings of a script: names, a clock, threads; each counts its calls."""

    def __init__(self, names: dict[str, Sequence[str]] | None = None, timeout_seconds: float = 5.0) -> None:
        self.names = names or {}
        self.asked: list[str] = []
        self.now = 100.0
        self.calls = 0
        self._lane = ThreadLane("pac", 1, timeout_seconds)

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        return await self._lane.run(function, *args)

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if host not in self.names:
            raise UnreachableError(f"no {host}")
        return self.names[host]

    def load(self, text: str, location: str = "http://user:secret@pac.test/proxy.pac") -> PacScript:
        return PacScript(
            ScriptInLane(text, self.run),
            location,
            resolve=self.resolve,
            my_addresses=lambda: ("10.9.8.7",),
            now=lambda: self.now,
        )

    async def ask(self, body: str, url: str = URL, host: str = HOST) -> PacAnswer:
        return await self.load(script_that(body)).find_routes(url, host)

    async def fail(self, body: str) -> str:
        with pytest.raises(PacError) as caught:
            await self.ask(body)
        assert "http://pac.test/proxy.pac" in caught.value.cause
        assert "secret" not in caught.value.cause
        assert caught.value.hint
        return caught.value.cause


async def test_the_answer_becomes_routes() -> None:
    answer = await World().ask("return 'PROXY one:8080; DIRECT'")
    assert answer.routes == (Via(UpstreamAddress("http", "one", 8080, is_found=True)), Direct())
    assert answer.text == "PROXY one:8080; DIRECT"
    assert (answer.url, answer.host, answer.is_cached) == (URL, HOST, False)


@pytest.mark.parametrize("value", ["null", "undefined", "''", "';'"])
async def test_a_script_without_an_answer_means_a_direct_route(value) -> None:
    assert (await World().ask(f"return {value}")).routes == (Direct(),)


async def test_microsofts_entry_function_takes_precedence() -> None:
    world = World()
    text = script_that("return 'PROXY old'") + "; function FindProxyForURLEx() { return 'PROXY ex' }"
    assert (await world.load(text).find_routes(URL, HOST)).text == "PROXY ex"


@pytest.mark.parametrize(
    ("url", "host", "seen"),
    [
        ("http://www.test/path?query#fragment", "www.test", "http://www.test/path?query www.test"),
        ("http://user:secret@www.test/", "www.test", "http://www.test/ www.test"),
        ("https://user:secret@www.test:8443/path?query#f", "www.test", "https://www.test:8443/ www.test"),
        ("wss://www.test/path", "www.test", "wss://www.test/ www.test"),
        ("ws://www.test/path", "www.test", "ws://www.test/path www.test"),
        ("https://www.test:443", "www.test", "https://www.test/ www.test"),
        ("http://www.test:80", "www.test", "http://www.test/ www.test"),
        ("http://www.test:443/", "www.test", "http://www.test:443/ www.test"),
        ("http://www.test?query", "www.test", "http://www.test/?query www.test"),
        ("HTTP://WWW.Test./Path", "WWW.Test.", "http://www.test./Path www.test."),
        ("https://www.test.:443/", "www.test.", "https://www.test./ www.test."),
        ("http://[2001:DB8::1]:8080/a", "[2001:DB8::1]", "http://[2001:db8::1]:8080/a 2001:db8::1"),
        ("https://[::1]/a", "::1", "https://[::1]/ ::1"),
        ("http://bücher.test/", "bücher.test", "http://xn--bcher-kva.test/ xn--bcher-kva.test"),
        ("http://www.test/@:80/", "www.test", "http://www.test/@:80/ www.test"),
    ],
)
async def test_a_script_sees_only_the_parts_of_a_url_that_browsers_show(url, host, seen) -> None:
    answer = await World().ask("return 'PROXY p; ' + url + ' ' + host", url, host)
    assert answer.text == f"PROXY p; {seen}"
    assert f"{answer.url} {answer.host}" == seen


# Names


async def test_names_are_looked_up_for_the_script() -> None:
    world = World({HOST: ("2001:db8::1", "10.1.2.3"), "other": ("10.0.0.1",)})
    answer = await world.ask("""
        if (!isResolvable("nowhere") && isInNet(host, "10.1.0.0", "255.255.0.0"))
            return "PROXY " + dnsResolve("other") + "; PROXY " + myIpAddress();
    """)
    assert answer.text == "PROXY 10.0.0.1; PROXY 10.9.8.7"
    assert world.asked == ["nowhere", HOST, "other"]
    assert answer.names == {"nowhere": (), HOST: ("2001:db8::1", "10.1.2.3"), "other": ("10.0.0.1",)}
    assert world.calls == 4


async def test_a_script_that_swallows_the_exception_is_called_again_with_the_name() -> None:
    world = World({HOST: ("10.1.2.3",)})
    answer = await world.ask("try { return 'PROXY ' + dnsResolve(host) } catch (e) { return 'PROXY wrong' }")
    assert answer.text == "PROXY 10.1.2.3"


async def test_state_from_a_run_with_a_missing_name_is_discarded() -> None:
    world = World({"a": ("10.0.0.1",), "b": ("10.0.0.2",)})
    script = world.load(
        "var kept = {}, calls = 0;"
        + script_that("""
            new Date(); // no answer is kept by Px
            calls++;
            if (!kept[host]) try { kept[host] = dnsResolve(host) } catch (e) { kept[host] = "wrong" }
            return "PROXY " + kept[host] + ":" + calls;
        """)
    )
    texts = [(await script.find_routes(f"http://{host}/", host)).text for host in ("a", "a", "b", "b")]
    # Only the first run loads the script again; afterwards the host is resolved before the call.
    assert texts == ["PROXY 10.0.0.1:1", "PROXY 10.0.0.1:2", "PROXY 10.0.0.2:3", "PROXY 10.0.0.2:4"]
    assert world.calls == 5


async def test_a_script_may_ask_for_addresses_while_it_is_loaded() -> None:
    world = World({"corp": ("10.0.0.1",), "other": ("10.0.0.2",)})
    text = "const first = dnsResolve('corp'); let second = dnsResolve('other'), mine = myIpAddress();"
    script = world.load(
        text + script_that("return 'PROXY ' + [first, second, mine].join('; PROXY ') + url.length")
    )
    answer = await script.find_routes("http://a/", "a")
    assert answer.text == "PROXY 10.0.0.1; PROXY 10.0.0.2; PROXY 10.9.8.79"
    assert (world.asked, world.calls) == (["corp", "other"], 3)
    await script.find_routes("http://a/b", "a")
    assert (world.asked, world.calls) == (["corp", "other"], 4)
    world.names["corp"] = ("10.0.0.3",)
    script.forget()
    assert (await script.find_routes("http://a/b", "a")).text.startswith("PROXY 10.0.0.3;")


async def test_a_pending_answer_is_not_kept_when_the_network_changes() -> None:
    world = World({HOST: ("10.1.2.3",)})
    script = world.load(script_that("return 'PROXY ' + dnsResolve(host)"))
    asking = asyncio.create_task(script.find_routes(URL, HOST))
    await asyncio.sleep(0)
    world.names[HOST] = ("10.1.2.4",)
    script.forget()
    again = await script.find_routes(URL, HOST)
    assert (again.text, again.is_cached) == ("PROXY 10.1.2.4", False)
    await asking
    assert (await script.find_routes(URL, HOST)).text == "PROXY 10.1.2.4"


async def test_names_asked_for_in_one_run_are_looked_up_together() -> None:
    world = World({"a": ("10.0.0.1",), "b": ("10.0.0.2",)})
    answer = await world.ask("""
        const all = ["a", "b", "a"].map((name) => { try { return dnsResolve(name) } catch { return "" } });
        return "PROXY " + all.join("; PROXY ");
    """)
    assert answer.text == "PROXY 10.0.0.1; PROXY 10.0.0.2; PROXY 10.0.0.1"
    assert (world.asked, world.calls) == (["a", "b"], 2)


async def test_alerts_of_the_last_run_are_reported_once_and_bounded() -> None:
    answer = await World({HOST: ("10.1.2.3",)}).ask("alert('before'); dnsResolve(host); alert(5); return ''")
    assert answer.alerts == ("before", "5")
    answer = await World().ask("for (let i = 0; i < 1000; i++) alert('x'.repeat(10000)); return ''")
    assert len(answer.alerts) == 20
    assert {len(alert) for alert in answer.alerts} == {500}


async def test_a_text_that_is_no_host_is_not_looked_up() -> None:
    world = World()
    answer = await world.ask(
        r"return 'PROXY p; ' + ['a b', '10.1', '\ud800', 'x'.repeat(300)].map(isResolvable)"
    )
    assert answer.text == "PROXY p; false,false,false,false"
    assert world.asked == []


async def test_a_script_may_look_up_many_names_and_those_beyond_a_bound_have_no_address(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_NAMES", 30)
    world = World({f"host{number}": ("10.0.0.1",) for number in range(50)})
    answer = await world.ask("""
        let found = 0;
        for (let i = 0; i < 50; i++) found += isResolvable("host" + i);
        return "PROXY p" + found;
    """)
    assert answer.text == "PROXY p30"
    assert len(world.asked) == len(answer.names) == 30


async def test_names_looked_up_in_one_run_are_bounded_too(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_NAMES", 3)
    world = World(dict.fromkeys("abcde", ("10.0.0.1",)))
    answer = await world.ask("""
        const ask = (name) => { try { return String(dnsResolve(name)) } catch { return "" } };
        return "PROXY " + [..."abcde"].map(ask).join("; PROXY ");
    """)
    assert answer.text == "PROXY 10.0.0.1; PROXY 10.0.0.1; PROXY 10.0.0.1; PROXY null; PROXY null"
    assert world.asked == ["a", "b", "c"]


async def test_the_number_of_concurrent_lookups_is_limited() -> None:
    names = [f"host{number}" for number in range(50)]
    world = World(dict.fromkeys(names, ("10.0.0.1",)))
    at_once: list[int] = []
    quick = world.resolve

    async def resolve(host: str) -> Sequence[str]:
        at_once[-1] += 1
        return await quick(host)

    async def run(function: Callable[..., Any]) -> Any:
        at_once.append(0)
        return function()

    world.resolve, world.run = resolve, run  # type: ignore[method-assign]
    answer = await world.ask("""
        let found = 0;
        for (let i = 0; i < 50; i++) try { found += isResolvable("host" + i) } catch { }
        return "PROXY p" + found;
    """)
    assert answer.text == "PROXY p50"
    assert at_once == [20, 20, 10, 0]


async def test_a_script_that_looks_up_names_without_end_runs_out_of_time() -> None:
    world = World()
    reason = await world.fail("for (let i = 0; ; i++) isResolvable('host' + i)")
    assert "of processor time" in reason
    assert len(world.asked) == engine_module.MAX_NAMES


async def test_names_that_are_not_resolved_in_time_have_no_address(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "LOOK_UP_SECONDS", 0.05)
    world = World()

    async def never(host: str) -> Sequence[str]:
        world.asked.append(host)
        await asyncio.Event().wait()
        raise AssertionError

    world.resolve = never  # type: ignore[method-assign]
    answer = await world.ask("return isResolvable('a') || isResolvable('b') ? 'PROXY yes' : 'PROXY no'")
    assert (answer.text, world.asked) == ("PROXY no", ["a"])


async def test_an_unanswered_name_does_not_delay_other_requests() -> None:
    world = World({"fast": ("10.0.0.1",)})
    answered = asyncio.Event()
    quick = world.resolve

    async def resolve(host: str) -> Sequence[str]:
        if host == "slow":
            await answered.wait()
        return await quick(host)

    world.resolve = resolve  # type: ignore[method-assign]
    script = world.load(script_that("return isResolvable(host) ? 'PROXY yes' : 'PROXY no'"))
    slow = asyncio.create_task(script.find_routes("http://slow/", "slow"))
    async with asyncio.timeout(5):
        assert (await script.find_routes("http://fast/", "fast")).text == "PROXY yes"
        assert not slow.done()
        answered.set()
        assert (await slow).text == "PROXY no"


async def test_endless_lookups_are_an_error(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_SECONDS", 0.05)
    world = World()

    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    world.resolve = never  # type: ignore[method-assign]
    assert "did not answer within 0.05 s" in await world.fail("dnsResolve(host)")


# Kept answers

ON_URL = "url.length; "
COUNT = "this.calls = (this.calls || 0) + 1; return 'PROXY p' + this.calls"


async def test_an_answer_is_kept_for_a_while() -> None:
    world = World()
    script = world.load(script_that(ON_URL + COUNT))
    assert (await script.find_routes(URL, HOST)).text == "PROXY p1"
    again = await script.find_routes(URL, HOST)
    assert (again.text, again.is_cached, world.calls) == ("PROXY p1", True, 1)
    assert (await script.find_routes("http://www.example.com/other", HOST)).text == "PROXY p2"
    world.now += engine_module.KEEP_SECONDS
    assert (await script.find_routes(URL, HOST)).text == "PROXY p3"
    script.forget()
    assert (await script.find_routes(URL, HOST)).text == "PROXY p1"  # the script was loaded anew
    assert repr(script) == "<PacScript http://pac.test/proxy.pac kept=1>"


async def test_paths_of_one_encrypted_origin_share_an_answer() -> None:
    script = World().load(script_that(COUNT))
    assert (await script.find_routes("https://a.test/one", "a.test")).text == "PROXY p1"
    assert (await script.find_routes("https://a.test/two", "a.test")).is_cached


@pytest.mark.parametrize(
    ("text", "is_one_for_all"),
    [
        (script_that(COUNT), True),
        (script_that(COUNT).replace("url", "u"), True),
        (script_that("if (url == 5) return; " + COUNT), False),
        (script_that("arguments[0]; " + COUNT), False),
        (script_that("eval('u' + 'rl'); " + COUNT), False),
        ("FindProxyForURL = " + script_that(COUNT).replace("FindProxyForURL", ""), False),
        (script_that(COUNT) + script_that(COUNT).replace("URL", "URLEx").replace("url", "u"), False),
        ("// function FindProxyForURL(url, h)\nFindProxyForURL = (u, h) => { u.x; " + COUNT + "}", False),
    ],
)
async def test_a_script_that_uses_only_the_host_runs_once_for_each_host(text, is_one_for_all) -> None:
    script = World().load(text)
    answers = [await script.find_routes(f"http://a.test/{number}", "a.test") for number in range(2)]
    assert [answer.is_cached for answer in answers] == [False, is_one_for_all]
    assert answers[1].url == "http://a.test/1"
    assert not (await script.find_routes("http://b.test/", "b.test")).is_cached


@pytest.mark.parametrize(
    "change", ["new Date()", "weekdayRange('MON')", "timeRange(1)", "Math.random()", "alert(1)"]
)
async def test_an_answer_that_may_change_is_not_kept(change) -> None:
    world = World()
    script = world.load(script_that(f"{change}; {COUNT}"))
    assert [(await script.find_routes(URL, HOST)).text for _ in range(2)] == ["PROXY p1", "PROXY p2"]


async def test_the_number_of_kept_answers_is_limited(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_KEPT", 3)
    script = World().load(script_that(ON_URL + "return ''"))
    for number in range(5):
        await script.find_routes(f"http://a/{number}", "a")
    assert "kept=3" in repr(script)
    assert (await script.find_routes("http://a/4", "a")).is_cached
    assert not (await script.find_routes("http://a/1", "a")).is_cached


async def test_answers_for_long_urls_are_not_kept() -> None:
    script = World().load(script_that(ON_URL + "return ''"))
    for _ in range(2):
        assert not (await script.find_routes("http://a/" + "x" * 5000, "a")).is_cached


async def test_answers_of_a_long_script_are_kept_as_well() -> None:
    script = World().load(script_that("return ''") + " " * 4 * 1024 * 1024)
    answers = [await script.find_routes(f"http://a.test/{number}", "a.test") for number in range(2)]
    assert [answer.is_cached for answer in answers] == [False, True]


async def test_requests_beyond_the_limit_of_waiting_ones_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(engine_module, "MAX_WAITING", 3)
    script = World().load(script_that("return 'PROXY p'"))
    asking = [script.find_routes(f"http://a{number}/", f"a{number}") for number in range(5)]
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(result, PacError) for result in results] == [False, False, False, True, True]
    assert "3 requests are waiting for it already" in str(results[4])
    assert (await script.find_routes("http://b/", "b")).text == "PROXY p"


async def test_a_script_is_closed_when_its_running_calls_have_ended() -> None:
    world = World()
    callee = ScriptInLane(script_that("return 'PROXY p'"), world.run)
    script = PacScript(callee, "", resolve=world.resolve, my_addresses=list, now=lambda: world.now)
    asking = asyncio.create_task(script.find_routes(URL, HOST))
    await asyncio.sleep(0)
    script.close()
    assert callee.closed == 0
    assert (await asking).text == "PROXY p"
    await asyncio.sleep(0)
    assert callee.closed == 1
    script.close()
    assert callee.closed == 2


async def test_a_script_that_loops_for_a_host_is_not_run_again_for_it_at_once() -> None:
    """The path does not matter, since each call delays all other requests by a second."""
    world = World()
    script = world.load(script_that("if (host == 'bad') for (;;); return url ? 'DIRECT' : ''"))
    asking = [script.find_routes(f"http://bad/{number}", "bad") for number in range(10)]
    for failure in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(failure, PacError)
        assert "of processor time" in failure.cause
    assert world.calls == 1
    assert (await script.find_routes("http://good/", "good")).text == "DIRECT"
    world.now += engine_module.KEEP_FAILURE_SECONDS
    with pytest.raises(PacError):
        await script.find_routes("http://bad/", "bad")
    assert world.calls == 3


async def test_an_answer_for_another_network_is_not_kept_in_this_one() -> None:
    world = World({HOST: ("10.0.0.1",)})
    asked, answered = asyncio.Event(), asyncio.Event()
    quick = world.resolve

    async def resolve(host: str) -> Sequence[str]:
        addresses = await quick(host)
        asked.set()
        await answered.wait()
        return addresses

    world.resolve = resolve  # type: ignore[method-assign]
    script = world.load(script_that("return 'PROXY ' + dnsResolve(host)"))
    before = asyncio.create_task(script.find_routes(URL, HOST))
    await asked.wait()
    script.forget()
    world.names[HOST] = ("10.0.0.2",)
    after = asyncio.create_task(script.find_routes(URL, HOST))
    answered.set()
    assert [(await each).text for each in (before, after)] == ["PROXY 10.0.0.1", "PROXY 10.0.0.2"]
    assert (await script.find_routes(URL, HOST)).text == "PROXY 10.0.0.2"


async def test_simultaneous_requests_for_the_same_url_share_one_call() -> None:
    world = World()
    script = world.load(script_that("new Date();" + COUNT))
    answers = await asyncio.gather(*(script.find_routes(URL, HOST) for _ in range(20)))
    assert ({answer.text for answer in answers}, world.calls) == ({"PROXY p1"}, 1)


async def test_a_cancelled_request_does_not_end_the_call_of_the_others() -> None:
    script = World().load(script_that("return 'PROXY one'"))
    impatient, patient = (asyncio.create_task(script.find_routes(URL, HOST)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).text == "PROXY one"


# Failures


async def test_an_error_names_the_line_of_the_script() -> None:
    reason = await World().fail("var a;\n\nreturn a.b;")
    assert "failed in line 4: TypeError: cannot read property 'b' of undefined" in reason


async def test_an_error_in_a_function_of_px_names_the_line_that_called_it() -> None:
    reason = await World().fail("\n\nreturn alert({ toString() { return null.x } });")
    assert "failed in line 4: TypeError" in reason
    reason = await World().fail("\n\n\nisInNet(host, Symbol(), host);")
    assert "failed in line 5: TypeError" in reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 5", "its answer is no text but of type number"),
        ("return {}", "its answer is no text but of type object"),
        ("return 'nonsense'", "its answer 'nonsense' names no usable proxy"),
        ("return 'x'.repeat(1e6)", "its answer is too long"),
        ("throw 'a text'", "failed: a text"),
        ("throw undefined", "failed: undefined"),
        ("nosuch()", "ReferenceError: nosuch is not defined"),
        ("return FindProxyForURL(url, host) + 1", "Maximum call stack size exceeded"),
    ],
)
async def test_a_failing_script_is_an_error_that_names_the_cause(body, reason) -> None:
    assert reason in await World().fail(body)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n\nfunction FindProxyForURL( {", "failed in line 3: SyntaxError"),
        ("var x = 1;", "it has no function FindProxyForURL"),
        ("var FindProxyForURL = 5;", "it has no function FindProxyForURL"),
        ("", "it has no function FindProxyForURL"),
        ("\nthrow new Error('at once')", "failed in line 2: Error: at once"),
    ],
)
async def test_a_script_that_cannot_be_loaded_is_not_tried_for_each_request(text, reason) -> None:
    world = World()
    script = world.load(text)
    for url in (URL, "http://other/"):
        with pytest.raises(PacError, match="PAC script") as caught:
            await script.find_routes(url, HOST)
        assert reason in caught.value.cause
    assert world.calls == 1
    world.now += engine_module.KEEP_SECONDS
    with pytest.raises(PacError):
        await script.find_routes(URL, HOST)
    assert world.calls == 2


async def test_a_script_is_loaded_ahead_of_the_first_request() -> None:
    world = World()
    script = world.load("var loads = (this.loads || 0) + 1;" + script_that("return 'PROXY p' + loads"))
    await script.prepare()
    assert world.calls == 1
    assert (await script.find_routes(URL, HOST)).text == "PROXY p1"


async def test_a_script_that_failed_to_load_ahead_is_not_tried_for_the_first_request() -> None:
    world = World()
    script = world.load("\n\nfunction FindProxyForURL( {")
    await script.prepare()
    with pytest.raises(PacError, match="failed in line 3: SyntaxError"):
        await script.find_routes(URL, HOST)
    assert world.calls == 1


async def test_a_script_that_asks_for_names_is_loaded_with_the_first_request() -> None:
    world = World({"corp": ("10.0.0.1",)})
    script = world.load("const first = dnsResolve('corp');" + script_that("return 'PROXY ' + first"))
    await script.prepare()
    assert (await script.find_routes(URL, HOST)).text == "PROXY 10.0.0.1"


async def test_a_failure_is_kept_for_a_short_while_only() -> None:
    world = World()
    script = world.load(script_that("throw 'no'"))
    for _ in range(3):
        with pytest.raises(PacError):
            await script.find_routes(URL, HOST)
    assert world.calls == 1
    world.now += engine_module.KEEP_FAILURE_SECONDS
    with pytest.raises(PacError):
        await script.find_routes(URL, HOST)
    assert world.calls == 2


async def test_a_script_in_strict_mode_works() -> None:
    script = World().load("'use strict';\n" + script_that("return 'PROXY strict'"))
    assert (await script.find_routes(URL, HOST)).text == "PROXY strict"


async def test_a_script_may_end_in_a_comment() -> None:
    script = World().load(script_that("return 'PROXY p'") + " // the end")
    assert (await script.find_routes(URL, HOST)).text == "PROXY p"

"""A PAC script asked for the way: names, answers that are kept, failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from px.core.errors import PacError, UnreachableError
from px.core.route import Direct, UpstreamAddress, Via
from px.net.offload import Offload
from px.routing import pac_engine
from px.routing.pac_engine import PacAnswer, PacScript

URL, HOST = "http://www.example.com/path", "www.example.com"


def script_that(body: str) -> str:
    return f"function FindProxyForURL(url, host) {{\n{body}\n}}"


class World:
    """What a script is asked in: names, a clock, a lane of threads; all of them count."""

    def __init__(self, names: dict[str, Sequence[str]] | None = None, timeout_seconds: float = 5.0) -> None:
        self.names = names or {}
        self.asked: list[str] = []
        self.now = 100.0
        self.calls = 0
        self._lane = Offload("pac", 1, timeout_seconds)

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
            text,
            location,
            run=self.run,
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
        assert caught.value.mend
        return caught.value.cause


async def test_the_answer_becomes_routes() -> None:
    answer = await World().ask("return 'PROXY one:8080; DIRECT'")
    assert answer.routes == (Via(UpstreamAddress("http", "one", 8080, is_found=True)), Direct())
    assert answer.text == "PROXY one:8080; DIRECT"
    assert (answer.url, answer.host, answer.is_cached) == (URL, HOST, False)


@pytest.mark.parametrize("value", ["null", "undefined", "''", "';'"])
async def test_no_answer_is_direct(value) -> None:
    assert (await World().ask(f"return {value}")).routes == (Direct(),)


async def test_microsofts_function_goes_first() -> None:
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
        ("HTTP://WWW.Test./Path", "WWW.Test.", "http://www.test/Path www.test"),
        ("http://[2001:DB8::1]:8080/a", "[2001:DB8::1]", "http://[2001:db8::1]:8080/a 2001:db8::1"),
        ("https://[::1]/a", "::1", "https://[::1]/ ::1"),
        ("http://bücher.test/", "bücher.test", "http://xn--bcher-kva.test/ xn--bcher-kva.test"),
        ("http://www.test/@:80/", "www.test", "http://www.test/@:80/ www.test"),
    ],
)
async def test_a_script_sees_no_more_than_browsers_show(url, host, seen) -> None:
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


async def test_a_script_that_swallows_the_exception_does_not_get_away_with_it() -> None:
    world = World({HOST: ("10.1.2.3",)})
    answer = await world.ask("try { return 'PROXY ' + dnsResolve(host) } catch (e) { return 'PROXY wrong' }")
    assert answer.text == "PROXY 10.1.2.3"


async def test_what_a_script_keeps_of_a_run_without_a_name_is_thrown_away() -> None:
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
    # Only the first time is it loaded anew: then its hosts are looked up before.
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


async def test_what_is_on_its_way_when_the_network_changes_is_not_kept() -> None:
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


async def test_alerts_of_the_last_run_are_told_once_and_bounded() -> None:
    answer = await World({HOST: ("10.1.2.3",)}).ask("alert('before'); dnsResolve(host); alert(5); return ''")
    assert answer.alerts == ("before", "5")
    answer = await World().ask("for (let i = 0; i < 1000; i++) alert('x'.repeat(10000)); return ''")
    assert len(answer.alerts) == 20
    assert {len(alert) for alert in answer.alerts} == {500}


async def test_what_can_be_no_host_is_not_looked_up() -> None:
    world = World()
    answer = await world.ask(
        r"return 'PROXY p; ' + ['a b', '10.1', '\ud800', 'x'.repeat(300)].map(isResolvable)"
    )
    assert answer.text == "PROXY p; false,false,false,false"
    assert world.asked == []


async def test_too_many_names_are_an_error() -> None:
    world = World()
    told = await world.fail("for (let i = 0; ; i++) isResolvable('host' + i)")
    assert "more than 20 names" in told
    assert len(world.asked) == 20


async def test_a_name_that_is_not_answered_does_not_hold_up_other_requests() -> None:
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


async def test_look_ups_without_end_are_an_error(monkeypatch) -> None:
    monkeypatch.setattr(pac_engine, "MAX_SECONDS", 0.05)
    world = World()

    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    world.resolve = never  # type: ignore[method-assign]
    assert "did not answer within 0.05 s" in await world.fail("dnsResolve(host)")


# Answers that are kept

ON_URL = "url.length; "
COUNT = "this.calls = (this.calls || 0) + 1; return 'PROXY p' + this.calls"


async def test_an_answer_is_kept_for_a_while() -> None:
    world = World()
    script = world.load(script_that(ON_URL + COUNT))
    assert (await script.find_routes(URL, HOST)).text == "PROXY p1"
    again = await script.find_routes(URL, HOST)
    assert (again.text, again.is_cached, world.calls) == ("PROXY p1", True, 1)
    assert (await script.find_routes("http://www.example.com/other", HOST)).text == "PROXY p2"
    world.now += pac_engine.KEEP_SECONDS
    assert (await script.find_routes(URL, HOST)).text == "PROXY p3"
    script.forget()
    assert (await script.find_routes(URL, HOST)).text == "PROXY p1"  # it is loaded anew
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
async def test_a_script_that_looks_at_hosts_only_is_asked_once_a_host(text, is_one_for_all) -> None:
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


async def test_no_more_answers_are_kept_than_there_is_room_for(monkeypatch) -> None:
    monkeypatch.setattr(pac_engine, "MAX_KEPT", 3)
    script = World().load(script_that(ON_URL + "return ''"))
    for number in range(5):
        await script.find_routes(f"http://a/{number}", "a")
    assert "kept=3" in repr(script)
    assert (await script.find_routes("http://a/4", "a")).is_cached
    assert not (await script.find_routes("http://a/1", "a")).is_cached


async def test_answers_for_long_urls_are_not_kept_as_they_take_room() -> None:
    script = World().load(script_that(ON_URL + "return ''"))
    for _ in range(2):
        assert not (await script.find_routes("http://a/" + "x" * 5000, "a")).is_cached


async def test_a_long_script_is_asked_each_time_as_reading_it_would_hold_up_the_loop() -> None:
    script = World().load(script_that("return ''") + " " * 2 * 1024 * 1024)
    for _ in range(2):
        assert not (await script.find_routes(URL, HOST)).is_cached


async def test_a_host_with_which_a_script_loops_is_not_asked_for_again_at_once() -> None:
    """Whatever the path: one call costs all other requests a second."""
    world = World()
    script = world.load(script_that("if (host == 'bad') for (;;); return url ? 'DIRECT' : ''"))
    asking = [script.find_routes(f"http://bad/{number}", "bad") for number in range(10)]
    for failure in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(failure, PacError)
        assert "of processor time" in failure.cause
    assert world.calls == 1
    assert (await script.find_routes("http://good/", "good")).text == "DIRECT"
    world.now += pac_engine.KEEP_FAILURE_SECONDS
    with pytest.raises(PacError):
        await script.find_routes("http://bad/", "bad")
    assert world.calls == 3


async def test_what_was_asked_in_another_network_is_not_kept_in_this_one() -> None:
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


async def test_who_asks_the_same_at_the_same_time_shares_one_call() -> None:
    world = World()
    script = world.load(script_that("new Date();" + COUNT))
    answers = await asyncio.gather(*(script.find_routes(URL, HOST) for _ in range(20)))
    assert ({answer.text for answer in answers}, world.calls) == ({"PROXY p1"}, 1)


async def test_one_who_gives_up_does_not_end_the_call_of_the_others() -> None:
    script = World().load(script_that("return 'PROXY one'"))
    impatient, patient = (asyncio.create_task(script.find_routes(URL, HOST)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).text == "PROXY one"


# Failures


async def test_an_error_names_the_line_of_the_script() -> None:
    told = await World().fail("var a;\n\nreturn a.b;")
    assert "failed in line 4: TypeError: cannot read property 'b' of undefined" in told


async def test_an_error_inside_a_function_of_pxs_own_names_the_line_that_called_it() -> None:
    told = await World().fail("\n\nreturn alert({ toString() { return null.x } });")
    assert "failed in line 4: TypeError" in told
    told = await World().fail("\n\n\nisInNet(host, Symbol(), host);")
    assert "failed in line 5: TypeError" in told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return 5", "its answer is no text but of type number"),
        ("return {}", "its answer is no text but of type object"),
        ("return 'nonsense'", "its answer 'nonsense' names no proxy that can be used"),
        ("return 'x'.repeat(1e6)", "its answer is too long"),
        ("throw 'a text'", "failed: a text"),
        ("throw undefined", "failed: undefined"),
        ("nosuch()", "ReferenceError: nosuch is not defined"),
        ("return FindProxyForURL(url, host) + 1", "Maximum call stack size exceeded"),
    ],
)
async def test_failures(body, told) -> None:
    assert told in await World().fail(body)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\nfunction FindProxyForURL( {", "failed in line 3: SyntaxError"),
        ("var x = 1;", "it has no function FindProxyForURL"),
        ("var FindProxyForURL = 5;", "it has no function FindProxyForURL"),
        ("", "it has no function FindProxyForURL"),
        ("\nthrow new Error('at once')", "failed in line 2: Error: at once"),
    ],
)
async def test_a_script_that_cannot_be_loaded_is_not_tried_for_each_request(text, told) -> None:
    world = World()
    script = world.load(text)
    for url in (URL, "http://other/"):
        with pytest.raises(PacError, match="PAC script") as caught:
            await script.find_routes(url, HOST)
        assert told in caught.value.cause
    assert world.calls == 1
    world.now += pac_engine.KEEP_SECONDS
    with pytest.raises(PacError):
        await script.find_routes(URL, HOST)
    assert world.calls == 2


async def test_a_failure_is_kept_for_a_short_while_only() -> None:
    world = World()
    script = world.load(script_that("throw 'no'"))
    for _ in range(3):
        with pytest.raises(PacError):
            await script.find_routes(URL, HOST)
    assert world.calls == 1
    world.now += pac_engine.KEEP_FAILURE_SECONDS
    with pytest.raises(PacError):
        await script.find_routes(URL, HOST)
    assert world.calls == 2


async def test_a_strict_script_is_found_too() -> None:
    script = World().load("'use strict';\n" + script_that("return 'PROXY strict'"))
    assert (await script.find_routes(URL, HOST)).text == "PROXY strict"


async def test_a_script_that_ends_in_a_comment_is_whole() -> None:
    script = World().load(script_that("return 'PROXY p'") + " // the end")
    assert (await script.find_routes(URL, HOST)).text == "PROXY p"

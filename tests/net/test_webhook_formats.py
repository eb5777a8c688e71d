"""Each format as it arrives at a real receiver on loopback, and what a template may and may not do."""

from __future__ import annotations

import base64
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import trio
from support.documents import FIRING, RESOLVED, STORIES, TEST, body_of
from support.receiver import Answer, receiver

from monitor.api import DeliveryError, OptionError, Template
from monitor.config import SinkSettings
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.outbox.attempt import attempt
from monitor.sinks.formats import NAMES, as_json
from monitor.sinks.webhook import Webhook
from monitor.system import SystemClock
from monitor.telling import Message

NOW = datetime(2026, 11, 22, 15, 0, 11, tzinfo=UTC)
OPTIONS: dict[str, dict[str, Any]] = {
    "pagerduty": {"routing_key": "R0UTING"},
    "template": {"template": Template("{{ title }}: {{ text }}"), "content_type": "text/plain"},
}
TARGETS = {"ntfy": "/", "alertmanager-api": "/hook/api/v2/alerts"}


def message(*documents: dict[str, Any], **changes: Any) -> Message:
    last = documents[-1]
    given: dict[str, Any] = {
        "id": "m-1",
        "body": body_of(last),
        "document": last,
        "documents": documents,
        "attempt": 1,
        "now": NOW,
        "net": SocketNet(),
        "clock": SystemClock(),
        "sink": "ops",
    }
    return Message(**(given | changes))


def webhook(form: str, url: str, **options: Any) -> Webhook:
    return Webhook(url=url, format=form, **(OPTIONS.get(form, {}) | options))


@pytest.mark.parametrize("form", NAMES)
async def test_it_arrives_as_it_was_made(form):
    async with receiver(Answer(202)) as served:
        with trio.fail_after(20):
            said = await webhook(form, served.url).send(message(FIRING))
    assert said == "HTTP 202"
    [got] = served.received
    assert (got.method, got.target) == ("POST", TARGETS.get(form, "/hook"))
    match form:
        case "standard":
            assert got.body == body_of(FIRING)
        case "template":
            assert got.body == b"shop is down: expected status 200-299, got 503"
            assert got.headers["content-type"] == "text/plain"
        case _:
            assert got.headers["content-type"] == "application/json"
            settings = {"receiver": "ops", "routing_key": "R0UTING", "topic": "hook"}
            assert json.loads(got.body) == json.loads(as_json(form, [FIRING], **settings))


@pytest.mark.parametrize("form", [name for name in NAMES if name != "template"])
@pytest.mark.parametrize("story", STORIES)
async def test_every_alert_can_be_sent_in_every_format(form, story):
    async with receiver() as served:
        with trio.fail_after(20):
            await webhook(form, served.url).send(message(*STORIES[story]))
    [got] = served.received
    assert json.loads(got.body)


async def test_the_signature_is_of_what_is_sent():
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    async with receiver() as served:
        await webhook("slack", served.url, secret=secret).send(message(FIRING, now=SystemClock().wall()))
    [got] = served.received
    assert standardwebhooks.Webhook(secret).verify(got.body, got.headers)["text"] == ":red_circle: shop is down"


async def test_a_topic_may_lie_below_a_path():
    async with receiver() as served:
        await webhook("ntfy", f"http://127.0.0.1:{served.port}/ntfy/alerts").send(message(FIRING))
    [got] = served.received
    assert got.target == "/ntfy/"
    assert json.loads(got.body)["topic"] == "alerts"


@pytest.mark.parametrize("path", ["", "/", "/api/v2/alerts", "/api/v2/alerts/"])
async def test_the_url_of_an_alertmanager_may_be_its_apis(path):
    async with receiver() as served:
        await webhook("alertmanager-api", f"http://127.0.0.1:{served.port}{path}").send(message(FIRING))
    assert [got.target for got in served.received] == ["/api/v2/alerts"]


class TestTemplates:
    async def rendered(self, source: str, *documents: dict[str, Any]) -> str:
        async with receiver() as served:
            with trio.fail_after(20):
                await webhook("template", served.url, template=Template(source)).send(message(*documents or (FIRING,)))
        [got] = served.received
        return got.body.decode()

    async def refusal(self, source: str) -> DeliveryError:
        async with receiver() as served:
            with pytest.raises(DeliveryError) as caught, trio.fail_after(20):
                await webhook("template", served.url, template=Template(source)).send(message(FIRING))
        assert served.received == []
        return caught.value

    async def test_it_sees_the_document_and_the_words(self):
        source = '{"text": {{ title | tojson }}, "why": {{ data.reason.message | tojson }}, "by": {{ sink | tojson }}}'
        assert json.loads(await self.rendered(source)) == {
            "text": "shop is down",
            "why": "expected status 200-299, got 503",
            "by": "ops",
        }

    async def test_it_may_say_one_thing_or_another(self):
        source = "{% if type == 'alert.resolved' %}over{% else %}{{ data.endpoint.labels.team }}{% endif %}"
        assert await self.rendered(source) == "shop"
        assert await self.rendered(source, RESOLVED) == "over"

    async def test_what_is_absent_is_nothing(self):
        assert await self.rendered("[{{ data.endpoint.name }}{{ nothing }}]", TEST) == "[]"

    @pytest.mark.parametrize(
        "deep", ["data.endpoint.labels.team", "data.nothing.of_it.at_all", "data.incident['reason'].message", "data.to"]
    )
    async def test_nor_is_there_anything_in_what_is_absent_or_null(self, deep):
        assert await self.rendered("[{{ " + deep + " }}]", TEST) == "[]"

    async def test_an_error_names_its_line(self):
        assert "line 3: ZeroDivisionError" in str(await self.refusal("one\ntwo\n{{ 1 / 0 }}\nfour"))

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ("{{ 1 / 0 }}", "line 1: ZeroDivisionError"),
            ("{% include 'other' %}", "TypeError: no loader"),
            ("{{ ''.__class__.__mro__ }}", "SecurityError"),
            ("{{ data.update({}) }}", "SecurityError"),
            ("{% for n in range(1000000) %}x{% endfor %}", "Range too big"),
            ("{{ 'x' * 400000 }}", "its result is larger than 256 KiB"),
            ("{{ 'x' * 10 ** 10 }}", "it takes too much memory"),
        ],
    )
    async def test_one_that_fails_is_dead_at_once_and_says_why(self, source, problem):
        error = await self.refusal(source)
        assert error.final
        assert str(error).startswith("the template cannot be rendered: ")
        assert problem in str(error)

    async def test_one_that_loops_for_ever_hangs_nobody(self):
        loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await trio.sleep(0.05)
                ticks += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tick)
            error = await self.refusal(loops)
            nursery.cancel_scope.cancel()
        assert "took longer" in str(error) or "cannot be rendered" in str(error)
        assert ticks > 10, "the loop went on meanwhile"

    async def test_a_stop_ends_the_process_at_once(self):
        loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
        async with receiver() as served:
            with trio.move_on_after(0.5) as scope, trio.fail_after(2):
                await webhook("template", served.url, template=Template(loops)).send(message(FIRING))
        assert scope.cancelled_caught

    @pytest.mark.parametrize(
        "source", ["{{ environ }}", "{{ cycler.__init__.__globals__ }}", "{{ lipsum.__globals__ }}"]
    )
    async def test_the_environment_is_not_for_templates(self, monkeypatch, source):
        monkeypatch.setenv("TOKEN", "hunter22")
        async with receiver() as served:
            outcome = await attempt(
                SinkSettings(
                    name="ops",
                    kind="webhook",
                    sink=webhook("template", served.url, template=Template(source)),
                    give_up_after=Duration.parse("1d"),
                ),
                [message(FIRING)],
                timeout=20,
                log=logging.getLogger("test"),
            )
        assert "hunter22" not in str(outcome) + str(served.received)

    @pytest.mark.parametrize(
        ("source", "problem"),
        [
            ("", "expected a template, got nothing"),
            ("{{ title", "line 1 of the template: unexpected end of template"),
            ("a\n{% if %}", "line 2 of the template: Expected an expression"),
            ("{{ title | shout }}", 'line 1 of the template: there is no filter "shout"'),
            ("\n{{ title is loud }}", 'line 2 of the template: there is no test "loud"'),
        ],
    )
    def test_a_mistake_is_told_when_the_config_is_read(self, source, problem):
        with pytest.raises(OptionError) as caught:
            webhook("template", "https://example.org/", template=Template(source))
        assert caught.value.option == "template"
        assert problem in str(caught.value)

    def test_a_costly_constant_costs_nothing_then(self):
        webhook("template", "https://example.org/", template=Template("{{ 'x' * 10 ** 10 }}"))

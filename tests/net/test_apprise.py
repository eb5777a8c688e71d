"""The apprise sink, with the real Apprise, against a real receiver on loopback."""

from __future__ import annotations

import builtins
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from support.documents import FIRING, RESOLVED, body_of
from support.receiver import Answer, receiver

from monitor.api import DeliveryError, OptionError
from monitor.net.sockets import SocketNet
from monitor.system import SystemClock
from monitor.telling import Message

apprise = pytest.importorskip("apprise")

from monitor.sinks.apprise import Apprise  # noqa: E402


def message(*documents: dict[str, Any], ident: str = "a-1") -> Message:
    last = documents[-1]
    return Message(
        id=ident,
        body=body_of(last),
        document=last,
        documents=documents,
        attempt=1,
        now=datetime(2026, 11, 22, 15, 0, 11, tzinfo=UTC),
        net=SocketNet(),
        clock=SystemClock(),
    )


def url_of(served: Any, path: str = "hook") -> str:
    return f"json://127.0.0.1:{served.port}/{path}"


async def test_it_arrives_in_words():
    async with receiver() as served:
        with trio.fail_after(10):
            assert await Apprise(urls=(url_of(served),)).send(message(FIRING)) == "delivered"
    [got] = served.received
    said = json.loads(got.body)
    assert (said["title"], said["type"]) == ("shop is down", "failure")
    assert said["message"].splitlines()[0] == "expected status 200-299, got 503"


async def test_a_whole_incident_is_good_news():
    async with receiver() as served:
        await Apprise(urls=(url_of(served),)).send(message(FIRING, RESOLVED))
    [got] = served.received
    assert json.loads(got.body)["type"] == "success"


async def test_one_that_fails_is_tried_again_alone():
    async with receiver() as good, receiver(Answer(503)) as bad:
        sink = Apprise(urls=(url_of(bad), url_of(good)))
        with pytest.raises(DeliveryError, match="1 of 2 did not take it: JSON"), trio.fail_after(10):
            await sink.send(message(FIRING))
        await sink.send(message(FIRING))
    assert (len(good.received), len(bad.received)) == (1, 2)


async def test_a_mute_service_is_given_up_by_the_deadline():
    async with receiver(Answer(mute=True)) as served:
        with trio.move_on_after(0.5) as scope:
            await Apprise(urls=(url_of(served),)).send(message(FIRING))
    assert scope.cancelled_caught


async def test_nothing_is_logged_of_the_address(caplog):
    caplog.set_level(logging.DEBUG)
    async with receiver(Answer(503)) as served:
        with pytest.raises(DeliveryError) as caught:
            await Apprise(urls=(url_of(served, "T0KEN"),)).send(message(FIRING))
    assert "T0KEN" not in caplog.text + str(caught.value)


@pytest.mark.parametrize(
    ("urls", "option"), [((), "urls"), (("json://example.org", "T0KEN"), "urls[1]"), (("slack://T0KEN",), "urls[0]")]
)
def test_urls_that_cannot_be_are_refused_without_showing_them(urls, option):
    with pytest.raises(OptionError) as caught:
        Apprise(urls=urls)
    assert caught.value.option == option
    assert "T0KEN" not in str(caught.value)


def test_without_the_extra_the_config_says_so(monkeypatch):
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "apprise":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match='needs Apprise, which is not installed: pip install "nursery-monitor'):
        Apprise(urls=("json://example.org",))


def test_no_url_is_in_its_repr():
    assert "T0KEN" not in repr(Apprise(urls=("json://example.org/T0KEN",)))

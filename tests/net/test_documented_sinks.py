"""Every sink that docs/sinks.md shows is read from there, and sends an alert to a real receiver on loopback."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
import trio
from support.documents import FIRING, body_of
from support.receiver import receiver
from support.smtp import mail_server

from monitor.config.load import load
from monitor.net.sockets import SocketNet
from monitor.sinks.formats import NAMES
from monitor.sinks.smtp import Smtp
from monitor.system import SystemClock
from monitor.telling import Message

PAGE = (Path(__file__).parents[2] / "docs/sinks.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"^### `([\w-]+)`\n\n```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def test_every_format_has_an_example():
    assert EXAMPLES.keys() == set(NAMES) - {"standard"}


@pytest.mark.parametrize("kind", ["smtp", "apprise"])
async def test_the_example_of_another_sink_works(kind, tmp_path):
    file = tmp_path / "config.toml"
    example = dict(re.findall(r"^## `([\w-]+)`\n\n```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))[kind]
    file.write_text(example)
    async with mail_server() as mail, receiver() as served:
        environ = {"MAIL_PASSWORD": "p", "APPRISE_URL": f"json://127.0.0.1:{served.port}/hook"}
        [settings] = load(file, environ=environ).sinks
        sink = settings.sink
        if isinstance(sink, Smtp):
            sink = attrs.evolve(sink, host="127.0.0.1", port=mail.port, tls="none", username="", password="")
        with trio.fail_after(20):
            await sink.send(message_of(settings.name))
    assert len(mail.mails) + len(served.received) == 1


def message_of(sink: str) -> Message:
    return Message(
        id="m-1",
        body=body_of(FIRING),
        document=FIRING,
        attempt=1,
        now=datetime(2026, 11, 22, 15, 0, 11, tzinfo=UTC),
        net=SocketNet(),
        clock=SystemClock(),
        sink=sink,
    )


@pytest.mark.parametrize("form", EXAMPLES)
async def test_the_example_works(form, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(EXAMPLES[form])
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", EXAMPLES[form]), "https://hooks.example.org/x")
    [settings] = load(file, environ=environ).sinks
    async with receiver() as served:
        sink = attrs.evolve(settings.sink, url=served.url)
        with trio.fail_after(20):
            assert await sink.send(message_of(settings.name)) == "HTTP 204"
    [got] = served.received
    assert b"shop" in got.body

"""Both formats for Alertmanager, with the real one: what it takes from us, and what it sends itself.

Skipped where it is not installed (Debian: `prometheus-alertmanager`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest
import trio
from support.documents import DEGRADED, FIRING, REMINDER, RESOLVED, STORIES, TEST, body_of
from support.loopback import free_port
from support.memory_store import MemoryStore
from support.ports import PlainRand
from support.receiver import receiver

from monitor.api import Manner
from monitor.config import SinkSettings
from monitor.core.model import Alert, timestamp
from monitor.core.quantities import Duration
from monitor.net.sockets import SocketNet
from monitor.outbox import Outbox
from monitor.sinks.formats import as_json
from monitor.sinks.webhook import Webhook
from monitor.system import SystemClock
from monitor.telling import Message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
PATIENCE = 30.0

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs Alertmanager (Debian: prometheus-alertmanager)")

CONFIG = """
global: {{resolve_timeout: {resolve_timeout}}}
route: {{receiver: us, group_by: [alertname], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h}}
receivers: [{{name: us, webhook_configs: [{{url: "{webhook}", send_resolved: true}}]}}]
"""


@attrs.define
class Alertmanager:
    """A running one."""

    url: str

    async def alerts(self) -> dict[str, str]:
        """The alerts that fire there, by endpoint, each with its summary."""
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self.url}/api/v2/alerts")
            return {each["labels"].get("endpoint", ""): each["annotations"]["summary"] for each in answer.json()}

    async def until(self, expected: dict[str, str]) -> None:
        with trio.fail_after(PATIENCE):
            while await self.alerts() != expected:
                await trio.sleep(0.05)


@contextlib.asynccontextmanager
async def alertmanager(
    tmp_path: Path, *, port: int | None = None, webhook: str = "http://127.0.0.1:9/", resolve_timeout: str = "5m"
) -> AsyncIterator[Alertmanager]:
    """Run one on loopback, ready."""
    assert PROGRAM is not None
    file = tmp_path / "alertmanager.yml"
    file.write_text(CONFIG.format(webhook=webhook, resolve_timeout=resolve_timeout))
    port = port or free_port()
    process = await trio.lowlevel.open_process(
        [
            PROGRAM,
            f"--config.file={file}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found = Alertmanager(f"http://127.0.0.1:{port}")
        with trio.fail_after(PATIENCE):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    await found.alerts()
                    break
                await trio.sleep(0.05)
        yield found
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def now_in(document: dict[str, Any], *, ended: bool = False) -> dict[str, Any]:
    """*document* with its times of today: what ended in another year is not worth an alert there."""
    fresh: dict[str, Any] = json.loads(json.dumps(document))
    now = timestamp(SystemClock().wall())
    fresh["timestamp"] = now
    if (incident := fresh["data"]["incident"]) is not None:
        incident["started_at"] = now
        incident["resolved_at"] = now if ended else None
    return fresh


def message(*documents: dict[str, Any]) -> Message:
    return Message(
        id="m-1",
        body=body_of(documents[-1]),
        document=documents[-1],
        documents=documents,
        attempt=1,
        now=SystemClock().wall(),
        net=SocketNet(),
        clock=SystemClock(),
        sink="ops",
    )


async def test_it_takes_a_firing_and_its_resolved(tmp_path):
    async with alertmanager(tmp_path) as real:
        sink = Webhook(url=real.url, format="alertmanager-api")
        assert await sink.send(message(now_in(DEGRADED))) == "HTTP 200"
        await real.until({"shop": "shop is degraded"})
        await sink.send(message(now_in(FIRING)))
        await real.until({"shop": "shop is down"})
        await sink.send(message(now_in(REMINDER)))
        await real.until({"shop": "shop is still down"})
        await sink.send(message(now_in(RESOLVED, ended=True)))
        await real.until({})


@pytest.mark.parametrize("story", STORIES)
async def test_it_takes_every_kind_of_alert(tmp_path, story):
    async with alertmanager(tmp_path) as real:
        await Webhook(url=real.url, format="alertmanager-api").send(message(*STORIES[story]))


async def test_what_it_sends_has_the_shape_of_what_we_send(tmp_path):
    """The document that the real one makes of our alert, beside the one that we make of it ourselves."""
    async with receiver() as served, alertmanager(tmp_path, webhook=served.url) as real:
        document = now_in(FIRING)
        await Webhook(url=real.url, format="alertmanager-api").send(message(document))
        with trio.fail_after(PATIENCE):
            await served.arrived.wait()
    theirs = json.loads(served.received[0].body)
    ours = json.loads(as_json("alertmanager", [document], receiver="us"))
    assert ours.keys() == theirs.keys()
    [our_alert], [their_alert] = ours["alerts"], theirs["alerts"]
    assert our_alert.keys() == their_alert.keys()
    for key in ("version", "status", "receiver", "truncatedAlerts", "commonLabels", "commonAnnotations"):
        assert ours[key] == theirs[key], key
    for key in ("status", "labels", "annotations", "endsAt", "generatorURL"):
        assert our_alert[key] == their_alert[key], key
    assert datetime.fromisoformat(our_alert["startsAt"]) == datetime.fromisoformat(their_alert["startsAt"])
    assert len(our_alert["fingerprint"]) == len(their_alert["fingerprint"])


async def test_it_is_told_again_before_it_forgets_also_after_its_restart(tmp_path):
    store, port = MemoryStore(), free_port()
    sink = Webhook(url=f"http://127.0.0.1:{port}", format="alertmanager-api")
    assert sink.manner.resend == 60
    assert sink.manner.resend < 300, "the resolve_timeout that it has unless told otherwise"
    settings = SinkSettings(
        name="ops", kind="webhook", sink=sink, give_up_after=Duration.parse("1d"), manner=Manner(resend=0.5)
    )
    outbox = Outbox(
        store,
        {"ops": settings},
        net=SocketNet(),
        clock=SystemClock(),
        rand=PlainRand(),
        log=logging.getLogger("test"),
        mask=str,
    )

    def owe(document: dict[str, Any], ident: str) -> None:
        body, kind = body_of(document), document["type"]
        store.owe(_alert(ident, kind, body))
        outbox.ring()

    async with trio.open_nursery() as nursery:
        await nursery.start(outbox.run)
        async with alertmanager(tmp_path, port=port, resolve_timeout="2s") as real:
            owe(now_in(FIRING), "a-1")
            await real.until({"shop": "shop is down"})
            await trio.sleep(4)  # twice as long as it remembers
            assert await real.alerts() == {"shop": "shop is down"}
        shutil.rmtree(tmp_path / "data")
        async with alertmanager(tmp_path, port=port, resolve_timeout="2s") as real:
            await real.until({"shop": "shop is down"})
            owe(now_in(RESOLVED, ended=True), "a-2")
            await real.until({})
            await trio.sleep(2)
            assert await real.alerts() == {}, "and it stays over"
        nursery.cancel_scope.cancel()


def _alert(ident: str, kind: str, body: bytes) -> Alert:
    return Alert(id=ident, type=kind, endpoint="shop", created_at=SystemClock().wall(), body=body, sinks=("ops",))


async def test_a_test_alert_is_one_there(tmp_path):
    async with alertmanager(tmp_path) as real:
        await Webhook(url=real.url, format="alertmanager-api").send(message(now_in(TEST)))
        await real.until({"": "A test alert"})

"""The `log` sink: one line a person can read, whatever is in the alert."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from support.documents import STORIES
from support.ports import TrioClock

from monitor.sinks.log import Log, line
from monitor.telling import Message


def document(kind: str = "alert.firing", **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": "a-1",
        "sequence": 1,
        "endpoint": {"name": "shop", "group": None},
        "incident": {"id": "i-7", "resolved_at": None, "duration": 10.2},
        "from": "up",
        "to": "down",
        "reason": {"code": "expectation", "phase": None, "message": "expected status 200-299, got 503"},
        "suppressed": [],
    }
    return {"type": kind, "timestamp": "2026-11-22T15:00:10.000Z", "data": data | changes}


GOOD = {"code": "ok", "phase": None, "message": ""}
OVER = {"id": "i-7", "resolved_at": "2026-11-22T15:03:10.000Z", "duration": 190.0}


@pytest.mark.parametrize(
    ("alert", "expected"),
    [
        (document(), "alert.firing shop: expected status 200-299, got 503 (incident i-7)"),
        (
            document("alert.resolved", incident=OVER, reason=GOOD, to="up"),
            "alert.resolved shop: up after 3 min 10 s (incident i-7)",
        ),
        (
            document("alert.resolved", incident=OVER, reason=GOOD | {"message": "no longer watched"}, to=None),
            "alert.resolved shop: no longer watched after 3 min 10 s (incident i-7)",
        ),
        (
            document("alert.self", endpoint=None, incident=None, reason=GOOD | {"message": "the disk is full"}),
            "alert.self monitor: the disk is full",
        ),
        (
            document("alert.flapping", incident=None, flapping=True),
            "alert.flapping shop: changes its state too often to tell each time",
        ),
        (
            document("alert.flapping", incident=None, reason=GOOD, to="up", flapping=False),
            "alert.flapping shop: steady again, up",
        ),
        (
            document(reason=GOOD | {"message": "fine\n2026 ERROR forged\x1b[2J"}),
            r"alert.firing shop: fine\n2026 ERROR forged\x1b[2J (incident i-7)",
        ),
    ],
)
def test_the_line(alert, expected):
    assert line(alert) == expected


@pytest.mark.parametrize(
    ("sink", "level"), [(Log(), "WARNING"), (Log(level="info"), "INFO"), (Log(level="error"), "ERROR")]
)
async def test_it_goes_to_the_log_at_its_level(sink, level, caplog, autojump_clock):
    caplog.set_level(logging.DEBUG)
    net = attrs.make_class("NoNet", [])()
    now = datetime(2026, 11, 22, tzinfo=UTC)
    await sink.send(Message(id="a-1", body=b"", document=document(), attempt=1, now=now, net=net, clock=TrioClock()))
    [record] = caplog.records
    assert (record.name, record.levelname) == ("monitor.alerts", level)
    assert record.getMessage() == line(document())


@pytest.mark.parametrize("story", STORIES)
def test_every_kind_of_alert_is_a_line(story):
    text = line(STORIES[story][-1])
    assert text.startswith("alert.")
    assert text.isprintable()
    assert "None" not in text

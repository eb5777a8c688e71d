"""`standard` documents of every type, as the engine renders them: what formats and sinks are tested with."""

from __future__ import annotations

import copy
import json
from typing import Any

_ENDPOINT = {
    "name": "shop",
    "group": "web",
    "check": "http",
    "target": "https://shop.example.org/health",
    "labels": {"team": "shop"},
    "description": "Where people buy",
    "runbook": "https://wiki.example.org/shop",
    "url": "https://status.example.org/endpoints/shop",
}
_REASON = {"code": "expectation", "phase": "processing", "message": "expected status 200-299, got 503"}
_OK = {"code": "ok", "phase": None, "message": ""}


def _document(kind: str, at: str, **data: Any) -> dict[str, Any]:
    given = {
        "id": f"id-of-{kind}",
        "sequence": 41,
        "endpoint": _ENDPOINT,
        "incident": {
            "id": "8c6f0f5e-0000-4000-8000-000000000001",
            "started_at": "2026-11-22T15:00:00.000Z",
            "resolved_at": None,
            "duration": 10.2,
            "reason": _REASON,
        },
        "from": "up",
        "to": "down",
        "reason": _REASON,
        "suppressed": [],
    }
    return copy.deepcopy({"type": f"alert.{kind}", "timestamp": at, "data": given | data})


FIRING = _document("firing", "2026-11-22T15:00:10.200Z")
WORSE = _document("firing", "2026-11-22T15:01:00.000Z", **{"from": "degraded"})
DEGRADED = _document(
    "firing",
    "2026-11-22T15:00:10.200Z",
    to="degraded",
    reason={"code": "tls", "phase": "tls", "message": "certificate expires in 13 days"},
)
REMINDER = _document(
    "reminder",
    "2026-11-22T19:00:00.000Z",
    **{"from": "down"},
    incident=FIRING["data"]["incident"] | {"duration": 14400.0},
    suppressed=["cart", "checkout"],
)
RESOLVED = _document(
    "resolved",
    "2026-11-22T15:05:10.000Z",
    **{"from": "down"},
    to="up",
    incident=FIRING["data"]["incident"] | {"resolved_at": "2026-11-22T15:05:00.000Z", "duration": 300.0},
    reason=_OK,
)
LEFT = _document(
    "resolved",
    "2026-11-22T15:05:10.000Z",
    **{"from": "down"},
    to=None,
    incident=RESOLVED["data"]["incident"],
    reason={"code": "ok", "phase": None, "message": "no longer watched"},
)
FLAPPING = _document("flapping", "2026-11-22T15:20:00.000Z", flapping=True)
STEADY = _document("flapping", "2026-11-22T15:50:00.000Z", flapping=False, to="up", incident=None, reason=_OK)
_NOBODY = {"endpoint": None, "incident": None, "sequence": None, "from": None, "to": None}
SELF = _document(
    "self",
    "2026-11-22T15:00:30.000Z",
    **_NOBODY,
    reason={"code": "internal", "phase": None, "message": "the database cannot be written: the disk is full"},
    trouble=True,
)
SELF_OVER = _document(
    "self",
    "2026-11-22T15:10:30.000Z",
    **_NOBODY,
    reason={"code": "ok", "phase": None, "message": "over: the database cannot be written: the disk is full"},
    trouble=False,
)
TEST = _document("test", "2026-11-22T15:00:00.000Z", **_NOBODY, reason=_OK)
BARE = _document(
    "firing",
    "2026-11-22T15:00:10.200Z",
    endpoint=_ENDPOINT
    | {"group": None, "labels": {}, "description": None, "runbook": None, "url": None, "target": "queue"},
)
NASTY = _document(
    "firing",
    "2026-11-22T15:00:10.200Z",
    endpoint=_ENDPOINT
    | {
        "name": "*a*_b_<!channel> @everyone",
        "labels": {"the team": "<@U1> & co", "9": "x"},
        "runbook": "call [Bob](https://evil.example.org)",
        "url": "https://status.example.org/endpoints/%2Aa%2A?x=1|y>",
    },
    reason={
        "code": "expectation",
        "phase": None,
        "message": "got <http://evil.example.org|click> @here " + "\\`*_~|" * 2000,
    },
    suppressed=[f"child {number}" for number in range(30)],
)

STORIES: dict[str, tuple[dict[str, Any], ...]] = {
    "firing": (FIRING,),
    "worse": (WORSE,),
    "degraded": (DEGRADED,),
    "reminder": (REMINDER,),
    "resolved": (RESOLVED,),
    "firing and resolved": (FIRING, RESOLVED),
    "left": (LEFT,),
    "flapping": (FLAPPING,),
    "steady": (STEADY,),
    "self": (SELF,),
    "self over": (SELF_OVER,),
    "test": (TEST,),
    "bare": (BARE,),
}
"""What one message may tell: the documents, oldest first."""


def body_of(document: dict[str, Any]) -> bytes:
    """The frozen bytes."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

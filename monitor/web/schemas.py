"""The API's objects as JSON Schema (2020-12), for the OpenAPI document; tests hold every real answer to them.

Objects are closed: an answer that has a key which is not here is a mistake. What only readers get is not required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.core.model import Code, Outcome, State, Status
from monitor.web.objects import UPTIME_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Sequence

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "integer", "minimum": 1}
TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC, milliseconds"}
SECONDS: Schema = {"type": "number", "minimum": 0, "description": "seconds"}
SHARE: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 1, "description": "null: not known"}


def obj(required: Schema, for_readers: Schema | None = None, description: str = "") -> Schema:
    """An object with *required* keys, and others *for_readers*."""
    schema = {
        "type": "object",
        "properties": {**required, **(for_readers or {})},
        "required": list(required),
        "additionalProperties": False,
    }
    return {**schema, "description": description} if description else schema


def many(items: Schema) -> Schema:
    """A list of *items*."""
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    """The schema *name* of this module."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(schema: Schema) -> Schema:
    """*schema*, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(words: Sequence[object]) -> Schema:
    """One of *words*."""
    return {"type": "string", "enum": [str(word) for word in words]}


def _map(values: Schema) -> Schema:
    return {"type": "object", "additionalProperties": values}


def _page(name: str, items: str, following: Schema) -> Schema:
    return obj({name: many(ref(items)), "next": {**or_null(following), "description": "`after` of the next page"}})


_INCIDENT_TIMES = {"started_at": TIME, "resolved_at": or_null(TIME), "duration": SECONDS}
_NAMES = obj({"added": many(TEXT), "changed": many(TEXT), "removed": many(TEXT)})
_PUBLIC_ENDPOINT = {
    "name": TEXT,
    "group": or_null(TEXT),
    "state": one_of(list(State)),
    "uptime": ref("Uptime"),
    "incident": or_null(ref("Incident")),
}
_READERS_ENDPOINT = {
    "check": TEXT,
    "target": or_null(TEXT),
    "url": {**or_null(TEXT), "description": "its page, below external_url; null without one"},
    "since": {**or_null(TIME), "description": "when the state began"},
    "status": or_null(one_of(list(Status))),
    "reason": or_null(ref("Reason")),
    "latency": {**or_null(SECONDS), "description": "seconds of the last probe, where that was good"},
    "observed_at": or_null(TIME),
    "flags": many(one_of(["maintenance", "suppressed", "flapping", "silenced"])),
    "labels": _map(TEXT),
    "description": or_null(TEXT),
    "public": FLAG,
    "depends_on": many(TEXT),
}

SCHEMAS: dict[str, Schema] = {
    "Problem": obj(
        {"type": TEXT, "title": TEXT, "status": {"type": "integer", "minimum": 400, "maximum": 599}, "detail": TEXT},
        {"errors": many(TEXT)},
        "An error (RFC 9457); detail is a sentence for a person",
    ),
    "Reason": obj({"code": one_of(list(Code)), "phase": or_null(TEXT), "message": TEXT}),
    "Acknowledgement": obj({"at": TIME, "by": TEXT, "comment": TEXT}),
    "Incident": obj(
        _INCIDENT_TIMES,
        {"id": TEXT, "endpoint": TEXT, "reason": ref("Reason"), "acknowledged": or_null(ref("Acknowledgement"))},
        "An outage; while it is open its duration runs to now",
    ),
    "Observation": obj(
        {
            "status": one_of(list(Status)),
            "reason": ref("Reason"),
            "started_at": TIME,
            "duration": SECONDS,
            "phases": _map(SECONDS),
            "facts": {"type": "object"},
        },
        description="What one probe found",
    ),
    "Uptime": obj(dict.fromkeys(UPTIME_WINDOWS, SHARE), description="Fractions of time, by window"),
    "Endpoint": obj(_PUBLIC_ENDPOINT, _READERS_ENDPOINT),
    "EndpointDetail": obj(_PUBLIC_ENDPOINT, {**_READERS_ENDPOINT, "observation": or_null(ref("Observation"))}),
    "Transition": obj(
        {"id": ID, "endpoint": TEXT, "from": one_of(list(State)), "to": or_null(one_of(list(State))), "at": TIME},
        {"reason": ref("Reason"), "incident": or_null(TEXT), "alert": one_of(list(Outcome))},
        "A change of a state; to is null where the endpoint is no longer watched",
    ),
    "Point": obj(
        {"at": TIME, "uptime": SHARE},
        {
            **dict.fromkeys(("up", "degraded", "down", "unknown"), COUNT),
            "latency": or_null(obj(dict.fromkeys(("p50", "p95", "p99"), or_null(SECONDS)))),
            "phases": _map(SECONDS),
        },
        "One step of a chart; latency and phases are those of the good probes",
    ),
    "Silence": obj(
        {"id": TEXT, "target": TEXT, "created_at": TIME, "ends_at": TIME, "author": TEXT, "comment": TEXT}
        | {"active": FLAG}
    ),
    "Delivery": obj(
        {
            "id": ID,
            "state": one_of(["pending", "dead"]),
            "obsolete": FLAG,
            "sink": TEXT,
            "endpoint": or_null(TEXT),
            "type": TEXT,
            "alert": TEXT,
            "created_at": TIME,
            "attempts": COUNT,
            "first_try_at": or_null(TIME),
            "next_try_at": or_null(TIME),
            "given_up_at": or_null(TIME),
            "error": or_null(TEXT),
        },
        description="One alert to one sink",
    ),
    "Endpoints": _page("endpoints", "Endpoint", TEXT),
    "History": obj({"endpoint": TEXT, "window": TEXT, "step": or_null(SECONDS), "points": many(ref("Point"))}),
    "Transitions": _page("transitions", "Transition", ID),
    "Incidents": _page("incidents", "Incident", ID),
    "Silences": obj({"silences": many(ref("Silence"))}),
    "Outbox": obj({"deliveries": many(ref("Delivery")), "pending": COUNT, "dead": COUNT, "next": or_null(ID)}),
    "Taken": obj({"ok": {"const": True}}),
    "Badge": obj(
        {
            "schemaVersion": {"const": 1},
            "label": TEXT,
            "message": TEXT,
            "color": TEXT,
            "isError": FLAG,
            "cacheSeconds": COUNT,
        }
    ),
    "PutBack": obj(dict.fromkeys(("put_back", "obsolete", "gone", "unknown"), many(ID))),
    "Changes": obj({"endpoints": _NAMES, "sinks": _NAMES, "settings": many(TEXT)}),
    "LiveMessage": {
        "oneOf": [
            obj({"type": {"const": "observation"}, "data": ref("EndpointDetail")}),
            obj({"type": {"const": "transition"}, "data": ref("Transition")}),
        ],
        "description": "A text message of the live feed",
    },
    "AskedAcknowledgement": obj({}, {"author": TEXT, "comment": TEXT}),
    "AskedSilence": obj(
        {"target": {**TEXT, "description": "an endpoint, group:NAME, or *"}, "duration": SECONDS},
        {"author": TEXT, "comment": TEXT},
    ),
    "AskedRetry": obj({}, {"ids": many(ID), "sink": TEXT, "force": FLAG}),
    "SilenceForm": obj({"target": TEXT, "duration": {**TEXT, "examples": ["2h"]}}, {"author": TEXT, "comment": TEXT}),
    "SignIn": obj({"token": TEXT}),
}

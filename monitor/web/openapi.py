"""What every way of the table of routes does, in words and schemas, and the OpenAPI 3.1 document made of it.

The parameters are law: others are refused (`parameters`). Tests hold table, answers and document together.
"""

from __future__ import annotations

import functools
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

import attrs

from monitor.web.access import Audience
from monitor.web.asking import LARGEST_ID
from monitor.web.schemas import FLAG, SCHEMAS, TEXT, Schema, one_of, ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from monitor.web.routes import Resource

JSON, PROBLEM, FORM = "application/json", "application/problem+json", "application/x-www-form-urlencoded"
_LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
_AFTER: Schema = {"type": "integer", "minimum": 0, "maximum": LARGEST_ID, "default": 0}
_HEARTBEAT = "/api/v1/heartbeat/"
_PUSHED: Mapping[str, Schema] = {
    "status": {**one_of(["up", "down"]), "default": "up"},
    "msg": {**TEXT, "description": "what people shall read; else the first line of the body"},
    "ping": {**TEXT, "description": "milliseconds that the sender measured"},
}
_BADGE: Mapping[str, Schema] = {
    "kind": {**one_of(["state", "uptime", "latency"]), "default": "state", "description": "latency: for readers"},
    "window": {**one_of(["24h", "7d", "30d", "90d"]), "default": "24h", "description": "of the uptime"},
    "label": {**TEXT, "description": "in place of the name"},
}
_PAGED = {"after": _AFTER, "limit": _LIMIT}


@attrs.frozen(kw_only=True)
class Operation:
    """One way."""

    summary: str
    answer: str | None = None  # the name of a schema; None: it is not JSON
    media: str = JSON
    status: int = 200
    query: Mapping[str, Schema] = attrs.field(factory=dict)
    body: str | None = None  # the name of a schema
    body_media: str = JSON


def _page(summary: str) -> Operation:
    return Operation(summary=summary, media="text/html")


def _form(summary: str, body: str | None = None) -> Operation:
    return Operation(summary=summary, media="text/html", status=303, body=body, body_media=FORM)


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/healthz"): Operation(summary="Whether the process and its loop live", media="text/plain"),
    ("GET", "/readyz"): Operation(summary="Whether everything runs; else 503, with the cause", media="text/plain"),
    ("GET", "/metrics"): Operation(summary="Everything, for Prometheus", media="text/plain"),
    ("GET", "/api/v1/openapi.json"): Operation(summary="This document", answer="Document"),
    ("GET", "/api/v1/endpoints"): Operation(
        summary="Every endpoint, in the order of the config",
        answer="Endpoints",
        query={
            "group": TEXT,
            "state": one_of(["pending", "up", "degraded", "down", "unknown"]),
            "label": {**TEXT, "description": "KEY:VALUE; for readers"},
            "after": {**TEXT, "description": "the name after which the page begins"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "without: all"},
        },
    ),
    ("GET", "/api/v1/endpoints/{name}"): Operation(
        summary="One endpoint, with its last observation", answer="EndpointDetail"
    ),
    ("GET", "/probe"): Operation(
        summary="Probe a target by a module, as blackbox_exporter does; 404 without [monitor] probe_api",
        media="text/plain",
        query={
            "target": {**TEXT, "description": "a URL, or what blackbox_exporter takes for one"},
            "module": {**TEXT, "default": "http_2xx", "description": "a name of [module.NAME]"},
            "hostname": {**TEXT, "description": "the name by which the target is asked for"},
            "debug": {**FLAG, "description": "in words, with the module"},
        },
    ),
    ("GET", "/api/v1/endpoints/{name}/history"): Operation(
        summary="The points of a chart, from results or from roll-ups",
        answer="History",
        query={"window": {**TEXT, "default": "24h", "description": "until now: 1m to 400d"}},
    ),
    ("GET", "/api/v1/transitions"): Operation(
        summary="Changes of states, in order of id", answer="Transitions", query={"endpoint": TEXT, **_PAGED}
    ),
    ("GET", "/api/v1/incidents"): Operation(
        summary="Outages, in the order in which they began",
        answer="Incidents",
        query={"endpoint": TEXT, "open": {**FLAG, "default": False}, **_PAGED},
    ),
    ("POST", "/api/v1/incidents/{id}/ack"): Operation(
        summary="Stop the reminders of an open incident", answer="Incident", body="AskedAcknowledgement"
    ),
    ("GET", "/api/v1/silences"): Operation(
        summary="Silences that are active", answer="Silences", query={"past": {**FLAG, "default": False}}
    ),
    ("POST", "/api/v1/silences"): Operation(
        summary="Silence a target for some time", answer="Silence", status=201, body="AskedSilence"
    ),
    ("DELETE", "/api/v1/silences/{id}"): Operation(summary="End a silence now", answer="Silence"),
    ("GET", "/api/v1/live"): Operation(
        summary="The live feed, for a WebSocket: each text message is a LiveMessage", status=101
    ),
    ("GET", "/api/v1/outbox"): Operation(
        summary="Deliveries that wait or are dead, in order of id",
        answer="Outbox",
        query={"state": one_of(["pending", "dead"]), "sink": TEXT, **_PAGED},
    ),
    ("POST", "/api/v1/outbox/retry"): Operation(
        summary="Put dead deliveries back", answer="PutBack", body="AskedRetry"
    ),
    **{
        (method, path): Operation(summary=summary, answer="Taken", query=query)
        for method in ("GET", "POST")
        for path, summary, query in (
            (f"{_HEARTBEAT}{{token}}", "Say that an endpoint works, or that it does not", _PUSHED),
            (f"{_HEARTBEAT}{{token}}/{{signal}}", "The same as start, fail, log or an exit code", {"msg": TEXT}),
        )
    },
    ("GET", "/badge/{name}.svg"): Operation(
        summary="A badge of an endpoint, as a picture", media="image/svg+xml", query=_BADGE
    ),
    ("GET", "/badge/{name}.json"): Operation(
        summary="The same for the endpoint badge of shields.io", answer="Badge", query=_BADGE
    ),
    ("POST", "/-/reload"): Operation(summary="Read the config again; 422 with every mistake", answer="Changes"),
    ("GET", "/"): _page("The status page"),
    ("GET", "/endpoints/{name}"): _page("The page of one endpoint"),
    ("GET", "/silences"): _page("The silences, and for an admin a form for one more"),
    ("POST", "/silences"): _form("Silence a target, from a page", "SilenceForm"),
    ("POST", "/silences/{id}/end"): _form("End a silence, from a page"),
    ("POST", "/incidents/{id}/ack"): _form("Acknowledge an incident, from a page", "AskedAcknowledgement"),
    ("GET", "/incidents"): _page("The page of incidents, newest first"),
    ("GET", "/incidents.rss"): Operation(summary="The same as a feed", media="application/rss+xml"),
    ("GET", "/login"): _page("The sign-in form"),
    ("POST", "/login"): _form("Sign in: a session cookie", "SignIn"),
    ("POST", "/logout"): _form("Sign out"),
    ("GET", "/static/{name}"): Operation(summary="A style sheet, script or picture of the pages", media="*/*"),
}


@functools.cache
def parameters(method: str, path: str) -> frozenset[str] | None:
    """The names that the query of this way may have; None: any, as of what is no part of the API."""
    if path.startswith(_HEARTBEAT):  # other monitors' callers send what they have always sent
        return None
    return frozenset(OPERATIONS[method, path].query) if path.startswith(("/api/", "/badge/")) else None


def document(resources: Iterable[Resource]) -> dict[str, Any]:
    """The OpenAPI document of *resources*: the same for everybody, it tells nothing of the config."""
    paths = {
        each.path: {
            **{method.lower(): _operation(method, each.path, way.audience) for method, way in each.ways.items()},
            **_path_parameters(each.path),
        }
        for each in resources
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nursery Monitor",
            "version": metadata.version("nursery-monitor"),
            "description": "Times are RFC 3339 in UTC, durations seconds. What a caller may not see is answered 404. "
            "Answers of GET carry an ETag. Without an Accept of text/html, every error is a problem document.",
        },
        "servers": [{"url": "../..", "description": "relative to this document, so that it works behind a prefix"}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, "Document": {"type": "object"}},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "the token as password"},
                "session": {"type": "apiKey", "in": "cookie", "name": "monitor_PORT", "description": "of /login"},
            },
        },
    }


def _path_parameters(path: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", path)
    return (
        {"parameters": [{"name": each, "in": "path", "required": True, "schema": TEXT} for each in names]}
        if names
        else {}
    )


def _operation(method: str, path: str, audience: Audience) -> dict[str, Any]:
    operation = OPERATIONS[method, path]
    schema = TEXT if operation.answer is None else ref(operation.answer)
    good: dict[str, Any] = {"description": operation.summary}
    if operation.status not in (101, 303):
        good["content"] = {operation.media: {"schema": schema}}
    problem = {"description": "A problem", "content": {PROBLEM: {"schema": ref("Problem")}}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "security": _security(audience),
        "responses": {str(operation.status): good, "default": problem},
    }
    if operation.media == JSON and method == "GET" and operation.status == 200:
        described["responses"]["304"] = {"description": "As the If-None-Match says"}
    if operation.query:
        described["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in operation.query.items()
        ]
    if operation.body:
        content = {operation.body_media: {"schema": ref(operation.body)}}
        described["requestBody"] = {"required": bool(SCHEMAS[operation.body]["required"]), "content": content}
    return described


def _security(audience: Audience) -> list[dict[str, list[str]]]:
    tokens: list[dict[str, list[str]]] = [{"bearer": []}, {"basic": []}, {"session": []}]
    match audience:
        case Audience.EVERYBODY:
            return []
        case Audience.PUBLIC | Audience.READERS:
            return [{}, *tokens]  # visitors where access is public; and whoever is on the same machine
        case Audience.ADMINS:
            return tokens

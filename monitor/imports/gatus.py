"""Gatus' `config.yaml` (https://github.com/TwiN/gatus#configuration): endpoints, and the sinks that we have too."""

from __future__ import annotations

import re
from typing import Any

from monitor.imports import Imported
from monitor.imports.conditions import UnknownConditionError, as_cel
from monitor.imports.tables import Names, joined, possible, table, tables

_UNDERSTOOD = frozenset(
    {"name", "group", "url", "method", "body", "headers", "interval", "conditions", "alerts", "client", "enabled"}
)
_CLIENT = frozenset({"insecure", "ignore-redirect", "timeout"})
_TOP = frozenset({"endpoints", "services", "external-endpoints", "alerting", "metrics", "debug"})
_EXTERNAL = frozenset({"name", "group", "token", "alerts", "enabled", "heartbeat"})
_CHATS = frozenset({"slack", "discord"})
_VARIABLE = re.compile(r"\$(?=[A-Za-z_])(\w+)")


def imported(document: object) -> Imported:
    """Read the document. Raises MonitorError where it is none of Gatus'."""
    config, result, names = table(document, "the document"), Imported(), Names()
    listed = "endpoints" if "endpoints" in config else "services"  # as they were called until 2022
    sinks = _sinks(table(config.get("alerting"), "alerting"), result)
    for index, each in enumerate(tables(config.get(listed), listed)):
        result.endpoints.append(_endpoint(each, f"{listed}[{index}]", names, sinks, result.left_out))
    for index, each in enumerate(tables(config.get("external-endpoints"), "external-endpoints")):
        result.endpoints.append(_external(each, f"external-endpoints[{index}]", names, sinks, result.left_out))
    if others := sorted(config.keys() - _TOP):
        result.left_out.append(f"the settings {joined(others)}")
    return result


def _endpoint(
    each: dict[str, Any], place: str, names: Names, sinks: frozenset[str], left_out: list[str]
) -> dict[str, Any]:
    group = possible(each.get("group")) or None
    name = names.take(each.get("name"), group)
    ours: dict[str, Any] = {"name": name}
    if group:
        ours["group"] = group
    ours["url"] = _inserted(str(each.get("url", "")))
    ours["interval"] = str(each.get("interval", "60s"))
    client = table(each.get("client"), f"{place}.client")
    ours["timeout"] = str(client.get("timeout", "10s"))
    _request(each, client, ours, place)
    if expressions := _expressions(each.get("conditions") or [], name, left_out):
        ours["expect"] = expressions
    _alerts(tables(each.get("alerts"), f"{place}.alerts"), sinks, ours)
    others = [*sorted(each.keys() - _UNDERSTOOD), *(f"client.{key}" for key in sorted(client.keys() - _CLIENT))]
    if others:
        left_out.append(f'of "{name}": {joined(others)}')
    return ours


def _external(
    each: dict[str, Any], place: str, names: Names, sinks: frozenset[str], left_out: list[str]
) -> dict[str, Any]:
    """What says itself how it is: a heartbeat, whose caller needs another URL."""
    group = possible(each.get("group")) or None
    name = names.take(each.get("name"), group)
    ours: dict[str, Any] = {"name": name, "check": "heartbeat", "token": _inserted(str(each.get("token", "")))}
    if group:
        ours["group"] = group
    if interval := table(each.get("heartbeat"), f"{place}.heartbeat").get("interval"):
        ours["interval"] = str(interval)
    else:
        ours["interval"] = "24h"
        left_out.append(f'of "{name}": Gatus expects no heartbeat of it at any time; 24h stand for that')
    if each.get("enabled") is False:
        ours["enabled"] = False
    _alerts(tables(each.get("alerts"), f"{place}.alerts"), sinks, ours)
    left_out.append(f'of "{name}": the URL of its caller, which is /api/v1/heartbeat/TOKEN?status=up here')
    if others := sorted(each.keys() - _EXTERNAL):
        left_out.append(f'of "{name}": {joined(others)}')
    return ours


def _request(each: dict[str, Any], client: dict[str, Any], ours: dict[str, Any], place: str) -> None:
    if each.get("enabled") is False:
        ours["enabled"] = False
    if "method" in each:
        ours["method"] = str(each["method"])
    if each.get("body"):
        ours["body"] = _inserted(str(each["body"]))
    if headers := table(each.get("headers"), f"{place}.headers"):
        ours["headers"] = {name: _inserted(str(value)) for name, value in headers.items()}
    if client.get("insecure"):
        ours["verify"] = False
    if client.get("ignore-redirect"):
        ours["follow_redirects"] = False


def _expressions(conditions: list[Any], name: str, left_out: list[str]) -> list[str]:
    expressions = []
    for condition in conditions:
        try:
            expression = as_cel(str(condition))
        except UnknownConditionError:
            left_out.append(f'of "{name}": the condition {condition}')
        else:
            if expression is not None:
                expressions.append(expression)
    return expressions


def _alerts(alerts: list[dict[str, Any]], sinks: frozenset[str], ours: dict[str, Any]) -> None:
    wanted = [each for each in alerts if each.get("enabled", True)]
    ours["sinks"] = sorted({str(each.get("type")) for each in wanted} & sinks)
    for each in wanted[:1]:
        ours["failure_threshold"] = each.get("failure-threshold", 3)
        ours["success_threshold"] = each.get("success-threshold", 2)


def _sinks(alerting: dict[str, Any], result: Imported) -> frozenset[str]:
    made = set()
    for kind, settings in alerting.items():
        url = settings.get("webhook-url") if isinstance(settings, dict) else None
        if kind in _CHATS and isinstance(url, str):
            result.sinks.append({"name": kind, "type": "webhook", "url": _inserted(url), "format": kind})
            made.add(kind)
        else:
            result.left_out.append(f"alerting by {kind}")
    return frozenset(made)


def _inserted(text: str) -> str:
    """*text* with Gatus' `$NAME` as our `${NAME}`."""
    return _VARIABLE.sub(r"${\1}", text)

"""Gatus' `config.yaml` (https://github.com/TwiN/gatus#configuration): endpoints, and the sinks that we have too."""

from __future__ import annotations

import re
from typing import Any

from monitor.imports import Imported, ways
from monitor.imports.conditions import UnknownConditionError
from monitor.imports.gatus_kinds import SIGNS_IN, asked, expression, kind_of
from monitor.imports.tables import Names, joined, possible, table, tables

_UNDERSTOOD = frozenset({"name", "group", "url", "interval", "conditions", "alerts", "client", "enabled"})
_CLIENT = frozenset({"insecure", "timeout", "dns-resolver"})
_OF_HTTP = frozenset({"method", "body", "headers"})
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
        if (ours := _endpoint(each, f"{listed}[{index}]", names, sinks, result.left_out)) is not None:
            result.endpoints.append(ours)
    for index, each in enumerate(tables(config.get("external-endpoints"), "external-endpoints")):
        result.endpoints.append(_external(each, f"external-endpoints[{index}]", names, sinks, result.left_out))
    if others := sorted(config.keys() - _TOP):
        result.left_out.append(f"the settings {joined(others)}")
    return result


def _endpoint(
    each: dict[str, Any], place: str, names: Names, sinks: frozenset[str], left_out: list[str]
) -> dict[str, Any] | None:
    kind = kind_of(each)
    options = asked(kind, each, place)
    if options is None:
        left_out.append(f'the endpoint "{possible(each.get("name"))}": there is no check for {kind}://')
        return None
    group = possible(each.get("group")) or None
    name = names.take(each.get("name"), group)
    ours: dict[str, Any] = {"name": name}
    if group:
        ours["group"] = group
    ours |= _all_inserted(options)
    ours["interval"] = str(each.get("interval", "60s"))
    client = table(each.get("client"), f"{place}.client")
    ours["timeout"] = str(client.get("timeout", "10s"))
    _client(client, ours, kind)
    if kind == "http":
        _request(each, client, ours, place)
    if each.get("enabled") is False:
        ours["enabled"] = False
    if expressions := _expressions(kind, each, ours, name, left_out):
        ours["expect"] = [*ours.get("expect", ()), *expressions]
    _alerts(tables(each.get("alerts"), f"{place}.alerts"), sinks, ours)
    others = _others(kind, each, client)
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


def _client(client: dict[str, Any], ours: dict[str, Any], kind: str) -> None:
    if client.get("insecure") and kind not in ("dns", "icmp", "udp"):
        ours["verify"] = False
    if resolver := client.get("dns-resolver"):
        ours["dns_resolver"] = _inserted(str(resolver))
    tls = client.get("tls")
    if isinstance(tls, dict) and kind not in ("dns", "icmp", "udp"):
        for key, our_key in (("certificate-file", "client_cert"), ("private-key-file", "client_key")):
            if file := tls.pop(key, None):
                ours[our_key] = _inserted(str(file))
        if not tls:
            del client["tls"]


def _others(kind: str, each: dict[str, Any], client: dict[str, Any]) -> list[str]:
    """What of an endpoint nobody has looked at."""
    of_kind = {"http": _OF_HTTP, "dns": {"dns"}, "ssh": {"ssh"}, "ws": {"body"}, "wss": {"body"}}.get(kind, set())
    known_client = _CLIENT | {"ignore-redirect"} if kind == "http" else _CLIENT
    others = [key for key in sorted(each.keys() - (_UNDERSTOOD | of_kind)) if each[key] not in (None, "", {}, [])]
    if kind == "ssh" and any(table(each.get("ssh"), "ssh").values()):
        others.append(SIGNS_IN)
    return [*others, *(f"client.{key}" for key in sorted(client.keys() - known_client))]


def _all_inserted(value: Any) -> Any:
    """*value* with Gatus' way to insert variables in each of its texts as ours."""
    match value:
        case str():
            return _inserted(value)
        case dict():
            return {key: each if key == "expect" else _all_inserted(each) for key, each in value.items()}
        case list():
            return [_all_inserted(each) for each in value]
        case _:
            return value


def _request(each: dict[str, Any], client: dict[str, Any], ours: dict[str, Any], place: str) -> None:
    if "method" in each:
        ours["method"] = str(each["method"])
    if each.get("body"):
        ours["body"] = _inserted(str(each["body"]))
    if headers := table(each.get("headers"), f"{place}.headers"):
        ours["headers"] = {name: _inserted(str(value)) for name, value in headers.items()}
    if client.get("ignore-redirect"):
        ours["follow_redirects"] = False
    if (way := ways.proxy(_inserted(str(client.get("proxy-url") or "")))) is not None:
        ours["proxy"] = way
        del client["proxy-url"]
    if oauth := table(client.pop("oauth2", None), f"{place}.client.oauth2"):
        secret = _inserted(str(oauth.get("client-secret", "")))
        url, who, scopes = (oauth.get(key) for key in ("token-url", "client-id", "scopes"))
        ours["auth"] = ways.oauth2(url, who, secret, scopes, _inserted)


def _expressions(kind: str, each: dict[str, Any], ours: dict[str, Any], name: str, left_out: list[str]) -> list[str]:
    expressions = []
    for condition in each.get("conditions") or []:
        try:
            made = expression(kind, str(condition), ours)
        except UnknownConditionError:
            left_out.append(f'of "{name}": the condition {condition}')
        else:
            if made is not None:
                expressions.append(made)
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

"""The backup of Uptime Kuma (Settings, Backup, Export): its monitors, and the notifications that we have too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from monitor.core.errors import MonitorError
from monitor.core.text import host_and_port
from monitor.imports import Imported, ways
from monitor.imports.tables import Names, duration, possible, table, tables

if TYPE_CHECKING:
    from collections.abc import Callable

    Monitor = dict[str, Any]

_SMALLEST_PING = 16  # bytes, of which we make sure that nobody can guess them


def imported(document: object) -> Imported:
    """Read the document. Raises MonitorError where it is none of Uptime Kuma's."""
    backup, result, names = table(document, "the document"), Imported(), Names()
    if "monitorList" not in backup:
        raise MonitorError("expected a backup of Uptime Kuma, got a document without monitorList")
    monitors = tables(backup["monitorList"], "monitorList")
    groups = {each.get("id"): possible(each.get("name")) for each in monitors if each.get("type") == "group"}
    sinks = _sinks(tables(backup.get("notificationList"), "notificationList"), result)
    proxies = {each.get("id"): each for each in tables(backup.get("proxyList"), "proxyList")}
    for each in monitors:
        kind = each.get("type")
        if kind == "group":
            continue
        make = _KINDS.get(str(kind))
        if make is None:
            result.left_out.append(f'"{possible(each.get("name"))}": monitors of type {kind}')
            continue
        try:
            ours = _common(each, names, groups, sinks) | make(each)
            if make in (_http, _keyword):
                _reached(each, ours, proxies, result.left_out)
            result.endpoints.append(ours)
        except (TypeError, ValueError, KeyError, AttributeError) as exc:
            result.left_out.append(f'"{possible(each.get("name"))}": it cannot be read ({exc})')
    return result


def _common(each: Monitor, names: Names, groups: dict[Any, str], sinks: dict[str, str]) -> dict[str, Any]:
    group = groups.get(each.get("parent")) or None
    interval = float(each.get("interval") or 60)
    ours: dict[str, Any] = {"name": names.take(each.get("name"), group)}
    if group:
        ours["group"] = group
    ours |= {
        "interval": duration(interval),
        "timeout": duration(float(each.get("timeout") or 48)),
        "retry_interval": duration(min(interval, float(each.get("retryInterval") or interval))),
        "failure_threshold": int(each.get("maxretries") or 0) + 1,
        "success_threshold": 1,
        "sinks": sorted(sinks[key] for key in (each.get("notificationIDList") or {}) if key in sinks),
    }
    if resend := float(each.get("resendInterval") or 0):
        ours["reminder_interval"] = duration(resend * interval)
    if not each.get("active", True):
        ours["enabled"] = False
    if each.get("description"):
        ours["description"] = str(each["description"])
    if each.get("upsideDown"):
        ours["invert"] = True
    if labels := {str(tag["name"]): str(tag.get("value") or "") for tag in each.get("tags") or () if "name" in tag}:
        ours["labels"] = labels
    return ours


def _http(each: Monitor) -> dict[str, Any]:
    ours: dict[str, Any] = {"url": str(each["url"]).replace("$", "$$"), "method": str(each.get("method") or "GET")}
    if each.get("headers"):
        headers = json.loads(each["headers"])
        ours["headers"] = {str(name): str(value).replace("$", "$$") for name, value in headers.items()}
    if each.get("body"):
        ours["body"] = str(each["body"]).replace("$", "$$")
    if each.get("ignoreTls"):
        ours["verify"] = False
    if each.get("maxredirects") is not None:
        ours |= {"max_redirects": int(each["maxredirects"])} if each["maxredirects"] else {"follow_redirects": False}
    if each.get("basic_auth_user"):
        password = str(each.get("basic_auth_pass") or "")
        ours["auth"] = {"basic": {"username": str(each["basic_auth_user"]), "password": password.replace("$", "$$")}}
    accepted = each.get("accepted_statuscodes") or ["200-299"]
    if accepted != ["200-299"]:
        ours["expect"] = [" || ".join(_status(str(span)) for span in accepted)]
    return ours


def _reached(each: Monitor, ours: dict[str, Any], proxies: dict[Any, Monitor], left_out: list[str]) -> None:
    """By which proxy, and who asks."""
    theirs = proxies.get(each["proxyId"]) if each.get("proxyId") else None
    if theirs is not None and theirs.get("active", True):
        if (way := ways.kuma_proxy(theirs)) is not None:
            ours["proxy"] = way
        else:
            left_out.append(f'of "{ours["name"]}": the proxy, by {theirs.get("protocol")}')
    match each.get("authMethod"):
        case None | "" | "basic":
            pass
        case "oauth2-cc":
            in_body = each.get("oauth_auth_method") == "client_secret_post"
            ours["auth"] = ways.oauth2(
                each["oauth_token_url"],
                each["oauth_client_id"],
                _literally(str(each.get("oauth_client_secret") or "")),
                each.get("oauth_scopes"),
                _literally,
                credentials_in="body" if in_body else None,
                parameters={"audience": _literally(each["oauth_audience"])} if each.get("oauth_audience") else None,
            )
        case "mtls":
            left_out.append(f'of "{ours["name"]}": its certificate: save it as a file, for client_cert and client_key')
        case other:
            ours.pop("auth", None)
            left_out.append(f'of "{ours["name"]}": signing in by {other}')


def _literally(text: str) -> str:
    return text.replace("$", "$$")


def _status(span: str) -> str:
    first, _, last = span.partition("-")
    return f"status == {int(first)}" if not last else f"status >= {int(first)} && status <= {int(last)}"


def _keyword(each: Monitor) -> dict[str, Any]:
    ours = _http(each)
    quoted = str(each["keyword"]).replace("\\", "\\\\").replace("'", "\\'")
    ours["expect"] = [*ours.get("expect", ()), f"{'!' if each.get('invertKeyword') else ''}body.contains('{quoted}')"]
    return ours


def _port(each: Monitor) -> dict[str, Any]:
    return {"url": f"tcp://{each['hostname']}:{int(each['port'])}"}


def _ping(each: Monitor) -> dict[str, Any]:
    ours: dict[str, Any] = {"url": f"icmp://{each['hostname']}", "count": 1}
    size = int(each.get("packetSize") or 0)
    return ours | {"size": size} if size >= _SMALLEST_PING else ours


def _dns(each: Monitor) -> dict[str, Any]:
    servers = [one.strip() for one in str(each.get("dns_resolve_server") or "").split(",") if one.strip()]
    server, port = servers[0] if servers else "", int(each.get("port") or 53)
    return {
        "url": f"dns://{host_and_port(server, port)}" if server else f"dns:///{each['hostname']}",
        **({"query": str(each["hostname"])} if server else {}),
        "type": str(each.get("dns_resolve_type") or "A"),
    }


def _upgrade(each: Monitor) -> dict[str, Any]:
    return {"url": str(each["url"]).replace("$", "$$")}


def _push(each: Monitor) -> dict[str, Any]:
    return {"check": "heartbeat", "token": str(each["pushToken"])}


_KINDS: dict[str, Callable[[Monitor], dict[str, Any]]] = {
    "http": _http,
    "keyword": _keyword,
    "port": _port,
    "ping": _ping,
    "dns": _dns,
    "websocket-upgrade": _upgrade,
    "push": _push,
}


def _sinks(notifications: list[dict[str, Any]], result: Imported) -> dict[str, str]:
    """Our names of the notifications that we have too, by their ids."""
    made, names = {}, Names()
    for each in notifications:
        settings = each.get("config")
        settings = json.loads(settings) if isinstance(settings, str) else settings or {}
        kind = settings.get("type")
        url = settings.get({"slack": "slackwebhookURL", "discord": "discordWebhookUrl"}.get(str(kind), ""))
        if isinstance(url, str):
            name = names.take(each.get("name") or kind)
            result.sinks.append({"name": name, "type": "webhook", "url": url.replace("$", "$$"), "format": str(kind)})
            made[str(each.get("id"))] = name
        else:
            result.left_out.append(f'the notification "{possible(each.get("name"))}" by {kind}')
    return made

"""What a Gatus endpoint looks at, by its URL and its tables `dns` and `ssh`: our check, its options, expectations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from monitor.imports.conditions import UnknownConditionError, as_cel, of_answers
from monitor.imports.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable

    Endpoint = dict[str, Any]

_PLACEHOLDER = re.compile(r"\[[A-Z_]+\]")
_ALWAYS = frozenset({"[CONNECTED]", "[IP]", "[RESPONSE_TIME]"})
_CERTIFICATE = "[CERTIFICATE_EXPIRATION]"
_CONDITIONS = {
    "tcp": _ALWAYS,
    "ssh": _ALWAYS,
    "udp": _ALWAYS,
    "icmp": _ALWAYS,
    "grpc": _ALWAYS,
    "grpcs": _ALWAYS | {_CERTIFICATE},
    "tls": _ALWAYS | {_CERTIFICATE},
    "starttls": _ALWAYS | {_CERTIFICATE},
    "ws": _ALWAYS | {"[BODY]"},
    "wss": _ALWAYS | {"[BODY]", _CERTIFICATE},
    "dns": _ALWAYS | {"[DNS_RCODE]", "[BODY]"},
}
SIGNS_IN = "ssh.username and ssh.password: only the server's greeting is looked at"


def kind_of(each: Endpoint) -> str:
    """`http`, or another of those that Gatus knows."""
    if each.get("dns"):
        return "dns"
    scheme = urlsplit(str(each.get("url", ""))).scheme.lower()
    return "http" if scheme in ("http", "https", "") or "$" in scheme else scheme


def asked(kind: str, each: Endpoint, place: str) -> Endpoint | None:
    """The options by which ours looks at the same; None where there is no such check. Raises MonitorError."""
    make = _KINDS.get(kind)
    return None if make is None else make(each, str(each.get("url", "")), place)


def expression(kind: str, condition: str, ours: Endpoint) -> str | None:
    """What *condition* means of that *kind*; None where it is always so, or *ours* says it now.

    Raises UnknownConditionError.
    """
    if kind == "http":
        return as_cel(condition)
    if not _CONDITIONS[kind].issuperset(_PLACEHOLDER.findall(condition)):
        raise UnknownConditionError(condition)
    if "[BODY]" not in condition:
        return as_cel(condition)
    if kind == "dns":
        return of_answers(condition, ours["type"])
    _wait_for(as_cel(condition, body="text"), ours)
    return None


def _wait_for(message: str | None, ours: Endpoint) -> None:
    """Have a step wait for *message*, an expression, which is the server's answer to what is sent."""
    steps = ours.setdefault("steps", [])
    if steps and "expect" in steps[-1]:
        steps[-1]["expect"] += f" && {message}"
    else:
        steps.append({"expect": message, "next": True})


def _same(_: Endpoint, url: str, __: str) -> Endpoint:
    return {"url": url}


def _udp(_: Endpoint, url: str, __: str) -> Endpoint:
    return {"url": url, "quiet": "1s"}  # to Gatus a port is up unless its machine says that nobody listens


def _starttls(_: Endpoint, url: str, __: str) -> Endpoint:
    return {"url": f"tls{url[len('starttls') :]}", "starttls": "smtp"}


def _ssh(_: Endpoint, url: str, __: str) -> Endpoint:
    place = urlsplit(url)
    return {"url": f"tcp://{place.hostname}:{place.port or 22}", "expect": ["received.startsWith('SSH-2.0-')"]}


def _websocket(each: Endpoint, url: str, _: str) -> Endpoint:
    return {"url": url, "steps": [{"send": str(each["body"])}]} if each.get("body") else {"url": url}


def _dns(each: Endpoint, url: str, place: str) -> Endpoint:
    question = table(each.get("dns"), f"{place}.dns")
    server = url if "://" in url else f"dns://{url}"
    name = str(question.get("query-name", ""))
    return {
        "url": f"dns://{urlsplit(server).netloc}",
        "query": name if name == "." else name.removesuffix("."),
        "type": str(question.get("query-type", "A")).upper(),
    }


_KINDS: dict[str, Callable[[Endpoint, str, str], Endpoint]] = {
    "http": _same,
    "dns": _dns,
    "icmp": _same,
    "tcp": _same,
    "tls": _same,
    "starttls": _starttls,
    "udp": _udp,
    "ssh": _ssh,
    "ws": _websocket,
    "wss": _websocket,
    "grpc": _same,
    "grpcs": _same,
}

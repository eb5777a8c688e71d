"""What an HTTP answer is for people, expressions and metrics: its facts, its headers and body as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checks.connecting import CONNECTION_FACTS
from monitor.api import Fact, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping


def _is_https(url: str) -> bool:
    return url.startswith("https:")


def _content_length(headers: Mapping[str, str]) -> int:
    return int(headers.get("content-length", -1))


def _last_modified(headers: Mapping[str, str]) -> float:
    from email.utils import mktime_tz, parsedate_tz  # noqa: PLC0415 - for the daemon; `validate` has no use for it

    parsed = parsedate_tz(headers["last-modified"])
    if parsed is None:
        raise ValueError("not a date")
    return mktime_tz(parsed)


HTTP_FACTS: Mapping[str, Fact] = {
    "status": Fact(
        200,
        "status code of the last answer",
        metrics=(Metric("probe_http_status_code", "Status code of the last answer, 0: there was none.", default=0),),
    ),
    "headers": Fact(
        {"content-type": "text/plain"},
        "its headers, names in lower case, repeated ones joined",
        metrics=(
            Metric("probe_http_content_length", "Content-Length, -1: it was not sent.", _content_length, default=0),
            Metric("probe_http_last_modified_timestamp_seconds", "Last-Modified, in Unix seconds.", _last_modified),
        ),
    ),
    "body": Fact("text", "its body as text: UTF-8, or what the charset says", keep=False),
    "json": Fact(None, "its body as JSON", keep=False),
    "url": Fact(
        "https://example.org/",
        "the URL after redirects",
        metrics=(Metric("probe_http_ssl", "Whether the last request went over TLS.", _is_https, default=0),),
    ),
    "redirects": Fact(
        0,
        "how many redirects were followed",
        metrics=(Metric("probe_http_redirects", "How many redirects were followed.", default=0),),
    ),
    "http_version": Fact(
        "1.1",
        "protocol version of the answer",
        metrics=(Metric("probe_http_version", "Protocol version of the answer, 0: there was none.", default=0),),
    ),
    **CONNECTION_FACTS,
    "addresses": Fact({"192.0.2.7": "ok"}, 'with addresses = "all": what came of each'),
    "failing": Fact(0, 'with addresses = "all": how many of them fail'),
    "reused": Fact(False, "with keepalive: was the connection kept from the probe before"),
    "step": Fact(1, "with steps: the one that it came to, counted from 1"),
    "body_size": Fact(
        1024,
        "size of the body in bytes, decoded",
        metrics=(Metric("probe_http_uncompressed_body_length", "Size of the body in bytes, decoded.", default=0),),
    ),
}


def headers_of(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case, those that come again joined."""
    joined: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def text_of(body: bytes, kind: str) -> str:
    """The body as text. Only harmless charsets are taken from the server's word, its content-type *kind*."""
    latin = any(charset in kind.lower() for charset in ("iso-8859-1", "latin-1", "latin1", "windows-1252"))
    return body.decode("latin-1" if latin else "utf-8", errors="replace")

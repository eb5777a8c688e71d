"""What the options of the built-in checks must look like. Each raises ValueError with one sentence."""

from __future__ import annotations

import ipaddress
import re
from datetime import date, time
from typing import Any
from urllib.parse import urlsplit

from monitor.api import NameServer, Proxy, headers_without, is_host, is_token, shown, url_with

http_url = url_with("http", "https")
websocket_url = url_with("ws", "wss")
_tcp_url = url_with("tcp", example="tcp://example.org:22")
headers = headers_without("connection", "content-length", "transfer-encoding", "upgrade")


def tcp_url(url: str) -> None:
    """A host and a port."""
    _tcp_url(url)
    parts = urlsplit(url)
    if parts.port is None or parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f'expected a host and a port and no more, as in "tcp://example.org:22", got {shown(url)}')


def method(name: str) -> None:
    """An HTTP method."""
    if not is_token(name) or name.upper() == "CONNECT":
        raise ValueError(f'expected a method such as "GET", got {shown(name)}')


def json_value(value: Any) -> None:
    """What JSON can say: TOML's dates and times are not among it."""
    match value:
        case dict():
            for each in value.values():
                json_value(each)
        case list():
            for each in value:
                json_value(each)
        case date() | time():
            raise ValueError(f"JSON has no dates: write {value.isoformat()} as a string")


def min_tls(version: str) -> None:
    """A TLS version that OpenSSL still speaks."""
    if version not in ("1.2", "1.3"):
        raise ValueError(f'expected "1.2" or "1.3", got {shown(version)}')


def server_name(name: str) -> None:
    """A name to send in SNI."""
    if not name.isascii() or not is_host(name):
        raise ValueError(f'expected a host name such as "example.org", got {shown(name)}')


def address(host: str) -> None:
    """An IP address, or a name to resolve in place of the URL's."""
    if version_of(host) is None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", host):
        raise ValueError(f'expected an address such as "192.0.2.7" or a host name, got {shown(host)}')


def version_of(host: str) -> int | None:
    """4 or 6 where *host* is an address, None where it is a name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def name_server(text: str) -> None:
    """A name server to ask."""
    NameServer.parse(text)


def proxy(text: str) -> None:
    """A proxy to go through."""
    host = Proxy.parse(text).host
    if ":" not in host and not is_host(host):
        raise ValueError("expected a proxy with a host name that can be")


def subprotocols(names: tuple[str, ...]) -> None:
    """Names of WebSocket subprotocols."""
    for name in names:
        if not is_token(name):
            raise ValueError(f'expected a subprotocol such as "v1.json", got {shown(name)}')

"""What the options of the built-in checks must look like. Each raises ValueError with one sentence."""

from __future__ import annotations

import ipaddress
import re
from datetime import date, time
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from monitor.api import (
    ExpectationError,
    NameServer,
    Proxy,
    compile_all,
    headers_without,
    is_host,
    is_token,
    shown,
    url_with,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from monitor.api import Expectations, Fact

DnsType = Literal[
    "A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB", "TLSA",
    "TXT",
]  # fmt: skip
DNS_TYPES: tuple[DnsType, ...] = get_args(DnsType)

http_url = url_with("http", "https")
websocket_url = url_with("ws", "wss")
headers = headers_without("connection", "content-length", "transfer-encoding", "upgrade")
metadata = headers_without("connection", "content-length", "content-type", "te", "transfer-encoding", "upgrade")


def _place(*schemes: str, example: str, port: bool | None) -> Callable[[str], None]:
    """Make a rule: a URL of a host, and of a *port* or not; None: it may be left out."""
    is_url = url_with(*schemes, example=example)
    wanted = {True: "a host and a port and no more", False: "a host and no more", None: "a host, a port and no more"}

    def rule(url: str) -> None:
        is_url(url)
        parts = urlsplit(url)
        more = parts.path or parts.query or parts.fragment or parts.username is not None
        if more or (port is not None and (parts.port is not None) is not port):
            raise ValueError(f'expected {wanted[port]}, as in "{example}", got {shown(url)}')

    return rule


tcp_url = _place("tcp", example="tcp://example.org:22", port=True)
udp_url = _place("udp", example="udp://example.org:123", port=True)
tls_url = _place("tls", example="tls://example.org:443", port=None)
icmp_url = _place("icmp", "ping", example="icmp://example.org", port=False)
grpc_url = _place("grpc", "grpcs", example="grpcs://example.org:443", port=None)


_NAME = re.compile(r"[^\s/?#@\x00-\x1f\x7f]{1,253}")
_DNS = 'expected a URL such as "dns://192.0.2.1/example.org?type=MX" or "dns:///example.org"'


def domain(name: str) -> None:
    """A name that can be asked for; labels may begin with an underscore."""
    labels = name.removesuffix(".").split(".")
    if name != "." and (not _NAME.fullmatch(name) or not all(0 < len(each) < 64 for each in labels)):
        raise ValueError(f'expected a name such as "example.org", got {shown(name)}')


def dns_url(url: str) -> None:
    """RFC 4501, with a server or none: `dns://192.0.2.1/example.org?type=MX`."""
    parts = urlsplit(url)
    name = unquote(parts.path.strip("/"))
    if parts.netloc:
        url_with("dns", example="dns://192.0.2.1/example.org")(url)
    elif parts.scheme != "dns" or not name:
        raise ValueError(f"{_DNS}, got {shown(url)}")
    if name:
        domain(name)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    if parts.fragment or parts.username is not None or any(key != "type" for key, _ in asked) or len(asked) > 1:
        raise ValueError(f"{_DNS}, got {shown(url)}")
    if asked and asked[0][1].upper() not in DNS_TYPES:
        raise ValueError(f"expected a type such as MX, got {shown(asked[0][1])}")


def file_path(path: Path) -> None:
    """A path that the system can be asked for."""
    if "\0" in str(path):
        raise ValueError("expected a path without a null character")


def file_url(url: str) -> None:
    """`file:///var/backups/latest`."""
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError(f'expected a URL such as "file:///var/backups/latest", got {shown(url)}')
    if parts.query or parts.fragment or "%00" in parts.path or not url.isprintable():
        raise ValueError(f'expected a path and no more, as in "file:///var/backups/latest", got {shown(url)}')


def host_of(url: str) -> str:
    """The host of *url* as it is looked up."""
    import httpx  # noqa: PLC0415 - its URL knows IDNA; only who probes needs it

    return httpx.URL(url).raw_host.decode("ascii")


def port_of(url: str, default: int = 0) -> int:
    """The port of *url*, or *default*."""
    return urlsplit(url).port or default


def between(least: int, most: int) -> Callable[[int], None]:
    """Make a rule: a number in that range."""

    def rule(number: int) -> None:
        if not least <= number <= most:
            raise ValueError(f"expected a number of {least}-{most}, got {number}")

    return rule


def expression_over(facts: Mapping[str, Fact]) -> Callable[[str], None]:
    """Make a rule: an expression over *facts*, and nothing else. Of many steps, each tells its own mistakes."""

    def rule(source: str) -> None:
        try:
            compile_all((source,), facts, timed=False)
        except ExpectationError as exc:
            raise ValueError(str(exc)) from exc

    return rule


def compiled_each(sources: Iterable[str | None], facts: Mapping[str, Fact]) -> tuple[Expectations, ...]:
    """Compile each of *sources*, which `expression_over` the same *facts* has let pass; None: nothing is expected."""
    return tuple(compile_all(() if source is None else (source,), facts, timed=False) for source in sources)


def hex_digits(text: str) -> None:
    """Bytes, two hexadecimal digits each; spaces between them do no harm."""
    try:
        bytes.fromhex(text)
    except ValueError as exc:
        raise ValueError(f'expected hexadecimal digits such as "e3 00 04", got {shown(text)}') from exc


def not_negative(number: int) -> None:
    """A number of times."""
    if number < 0:
        raise ValueError(f"expected zero or more, got {number}")


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
    """A proxy to go through; an empty text is none."""
    host = Proxy.parse(text).host if text else ""
    if host and ":" not in host and not is_host(host):
        raise ValueError("expected a proxy with a host name that can be")


def scopes(names: tuple[str, ...]) -> None:
    """Scopes of an access token (RFC 6749, 3.3)."""
    for name in names:
        if not re.fullmatch(r"[!#-\[\]-~]+", name):
            raise ValueError(f'expected a scope such as "read:status", got {shown(name)}')


def subprotocols(names: tuple[str, ...]) -> None:
    """Names of WebSocket subprotocols."""
    for name in names:
        if not is_token(name):
            raise ValueError(f'expected a subprotocol such as "v1.json", got {shown(name)}')

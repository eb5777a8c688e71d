"""What the options of the built-in checks must look like. Each raises ValueError with one sentence."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from monitor.api import shown

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"[^\s/?#@\\\x00-\x20\x7f]+")


def http_url(url: str) -> None:
    """An absolute http or https URL."""
    _url(url, ("http", "https"))


def websocket_url(url: str) -> None:
    """An absolute ws or wss URL."""
    _url(url, ("ws", "wss"))


def _url(url: str, schemes: tuple[str, ...]) -> None:
    example = f'expected a URL such as "{schemes[-1]}://example.org/"'
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"{example}, got one with a space or control character")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"{example}, got {shown(url)}: {_plain(exc)}") from exc
    if parts.scheme not in schemes:
        raise ValueError(f"{example}, got {shown(url)} with the scheme {shown(parts.scheme)}")
    if not host:
        raise ValueError(f"{example}, got {shown(url)} without a host")
    if port == 0:
        raise ValueError(f"{example}, got {shown(url)} with a port out of range 1-65535")
    _known_host(host, f"{example}, got {shown(url)}")


def _known_host(host: str, problem: str) -> None:
    if not _HOST.fullmatch(host):
        raise ValueError(f"{problem} with a host that cannot be")
    if ":" in host:
        return  # an IPv6 literal, checked by urlsplit
    import idna  # noqa: PLC0415 - comes with httpx, and is needed for few names

    try:
        if not host.isascii():
            idna.encode(host, uts46=True)
        elif any(not 0 < len(label) < 64 for label in host.rstrip(".").split(".")) or len(host) > 253:
            raise ValueError(f"{problem} with a host name of impossible length")
    except idna.IDNAError as exc:
        raise ValueError(f"{problem} with a host name that IDNA refuses") from exc


def _plain(exc: ValueError) -> str:
    text = str(exc)
    return "port out of range 1-65535" if "ort" in text else text


def method(name: str) -> None:
    """An HTTP method."""
    if not _TOKEN.fullmatch(name) or name.upper() == "CONNECT":
        raise ValueError(f'expected a method such as "GET", got {shown(name)}')


def headers(values: dict[str, str]) -> None:
    """Header names and values that fit on a line each."""
    for name, value in values.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f'expected a header name such as "Accept", got {shown(name)}')
        if name.lower() in {"connection", "content-length", "transfer-encoding", "upgrade"}:
            raise ValueError(f"the header {name} is set by the check itself")
        try:
            header_value(value)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from exc


def header_value(value: str) -> None:
    """A header's value."""
    if any(char in "\r\n\0" for char in value):
        raise ValueError("expected one line of text, got a line break or NUL")


def ca_file(path: Path) -> None:
    """A file of trusted authorities."""
    try:
        with Path(path).open("rb") as file:
            found = b"-----BEGIN CERTIFICATE-----" in file.read(1024 * 1024)
    except OSError as exc:
        raise ValueError(f"cannot read {path}: {exc.strerror}") from exc
    if not found:
        raise ValueError(f"expected certificates in PEM, found none in {path}")


def min_tls(version: str) -> None:
    """A TLS version that OpenSSL still speaks."""
    if version not in ("1.2", "1.3"):
        raise ValueError(f'expected "1.2" or "1.3", got {shown(version)}')


def server_name(name: str) -> None:
    """A name to send in SNI."""
    if not name or not name.isascii() or not _HOST.fullmatch(name):
        raise ValueError(f'expected a host name such as "example.org", got {shown(name)}')


def address(host: str) -> None:
    """An IP address, or a name to resolve in place of the URL's."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", host):
            text = f'expected an address such as "192.0.2.7" or a host name, got {shown(host)}'
            raise ValueError(text) from None


def subprotocols(names: tuple[str, ...]) -> None:
    """Names of WebSocket subprotocols."""
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f'expected a subprotocol such as "v1.json", got {shown(name)}')

"""A name server that a config chooses in place of the system's: how it is written, `udp://192.0.2.1:53`."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

import attrs

from monitor.core.quantities import shown
from monitor.core.text import host_and_port

_PORTS = {"udp": 53, "tcp": 53, "tls": 853}
_EXPECTED = 'expected a name server such as "udp://192.0.2.1:53", "tcp://…" or "tls://dns.example.org"'


@attrs.frozen
class NameServer:
    """One to ask: by UDP (and TCP for what is too large for that), by TCP, or by TLS (RFC 7858)."""

    transport: str  # udp, tcp or tls
    host: str
    port: int
    server_name: str | None = None  # on its certificate; default: the host

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `udp://192.0.2.1`, `tcp://[2001:db8::1]:53`, `tls://192.0.2.1#dns.example.org`; else ValueError."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError as exc:
            raise ValueError(f"{_EXPECTED}, got {shown(text)}") from exc
        more = parts.path or parts.query or parts.username is not None or (parts.fragment and parts.scheme != "tls")
        if parts.scheme not in _PORTS or not host or port == 0 or more or not text.isprintable() or " " in text:
            raise ValueError(f"{_EXPECTED}, got {shown(text)}")
        return cls(parts.scheme, host, port or _PORTS[parts.scheme], parts.fragment or None)

    def __str__(self) -> str:
        """`192.0.2.1:53`, for people."""
        return host_and_port(self.host, self.port)

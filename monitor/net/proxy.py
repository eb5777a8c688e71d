"""A proxy that a config chooses, and how it is written: `http://user:password@proxy.example.org:3128`.

Apart from what speaks with it (monitor.net.tunnels) because `validate` comes here, which must not pay for Trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

import attrs

from monitor.core.quantities import shown

if TYPE_CHECKING:
    from monitor.net import TLS

PHASE = "proxy"  # of all that is said to one
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_EXPECTED = 'expected a proxy such as "http://proxy.example.org:3128", "https://…", "socks5://…" or "socks5h://…"'
_LONGEST = 255  # bytes of a name or password in SOCKS5 (RFC 1929)


@attrs.frozen(kw_only=True)
class Proxy:
    """One to go through: by HTTP in the clear or over TLS, or by SOCKS5.

    Of `socks5` we look names up ourselves, all others are given the name. *tls* is how to speak TLS with one of
    `https`. Without *tunnel* a connection ends at the proxy, which is then asked for whole URLs.
    """

    scheme: str  # http, https, socks5 or socks5h
    host: str
    port: int
    username: str | None = None
    password: str = attrs.field(default="", repr=False)
    tls: TLS | None = None
    tunnel: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL; raises ValueError, one sentence, which never shows a password."""
        got = f"{_EXPECTED}, got {'another with credentials' if '@' in text else shown(text)}"
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
            username = None if parts.username is None else unquote(parts.username, errors="strict")
            password = unquote(parts.password or "", errors="strict")
        except ValueError:
            raise ValueError(got) from None
        more = parts.path not in ("", "/") or parts.query or parts.fragment
        if parts.scheme not in _PORTS or not host or port == 0 or more or not text.isprintable() or " " in text:
            raise ValueError(got)
        if username is not None and not (0 < len(username.encode()) <= _LONGEST and len(password.encode()) <= _LONGEST):
            raise ValueError(f"expected a user name of 1-{_LONGEST} bytes and a password of at most {_LONGEST}")
        if username is not None and ":" in username and parts.scheme in ("http", "https"):
            raise ValueError("expected a user name without a colon, which HTTP does not allow")
        return cls(
            scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], username=username, password=password
        )

    @property
    def speaks_http(self) -> bool:
        """Is it asked by HTTP, and not by SOCKS?"""
        return self.scheme in ("http", "https")

    @property
    def authorization(self) -> bytes | None:
        """The value of `Proxy-Authorization`; None where it wants no credentials."""
        if self.username is None:
            return None
        import base64  # noqa: PLC0415 - for the few that need it

        return b"Basic " + base64.b64encode(f"{self.username}:{self.password}".encode())

    @property
    def wish(self) -> str:
        """What it means by not letting us in."""
        return "wants a user name and a password" if self.username is None else "refused the user name or the password"

    def refusal(self, status: int, where: str) -> str:
        """What it means by answering with *status* to the wish to get *where*: a sentence."""
        if status == 407:
            return f"the proxy {self.wish} (407)"
        if status == 403:
            return f"the proxy does not allow {where} (403)"
        return f"the proxy cannot connect to {where} ({status})"

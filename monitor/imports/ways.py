"""By which way others reach what they look at, and how they sign in there: proxies, tokens, certificates, as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from monitor.core.text import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SCHEMES = {"http": "http", "https": "https", "socks": "socks5h", "socks5": "socks5h", "socks5h": "socks5h"}


def proxy(url: str) -> str | None:
    """*url* as a `proxy`; None for one that we cannot go through.

    Whoever speaks of `socks5` there has the proxy look names up, which is `socks5h` here.
    """
    scheme, separator, rest = url.partition("://")
    ours = _SCHEMES.get(scheme.lower())
    return f"{ours}://{rest}" if separator and ours is not None and rest else None


def kuma_proxy(theirs: Mapping[str, Any]) -> str | None:
    """Uptime Kuma's entry of a proxy as a `proxy`; there `socks5` looks names up itself, as here."""
    scheme = str(theirs.get("protocol") or "")
    ours = scheme if scheme == "socks5" else _SCHEMES.get(scheme)
    if ours is None or not theirs.get("host"):
        return None
    who = ""
    if theirs.get("auth"):
        user, password = (quote(str(theirs.get(key) or ""), safe="") for key in ("username", "password"))
        who = f"{user}:{password}@"
    return f"{ours}://{who}{host_and_port(str(theirs['host']), int(theirs['port']))}"


def oauth2(
    token_url: object,
    client: object,
    secret: Any,
    scopes: str | list[Any] | None,
    text: Callable[[str], str],
    **more: Any,
) -> dict[str, Any]:
    """Client credentials as an `auth`, each text by *text*, but *secret* as it is; *more* where there is some."""
    names = scopes.split() if isinstance(scopes, str) else [str(each) for each in scopes or ()]
    ours: dict[str, Any] = {"token_url": text(str(token_url)), "client_id": text(str(client)), "client_secret": secret}
    if names:
        ours["scopes"] = [text(each) for each in names]
    return {"oauth2": ours | {key: value for key, value in more.items() if value}}

"""Who comes in: the rules of access.py with what is remembered of callers, who signed in and who guesses tokens.

One gate is asked about every request and every WebSocket, before anything else is done with it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs
import trio

from monitor.web.access import Role, credential, identify, only, origin_of, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from monitor.config import Access
    from monitor.web import Face
    from monitor.web.access import Caller

    Scope = Mapping[str, Any]

SESSION = 7 * 86400.0  # seconds that a sign-in lasts
MOST_SESSIONS = 1000
GUESSES = 30  # wrong tokens that one client may send at once …
ONE_MORE = 2.0  # … and the seconds until it may send another
MOST_GUESSERS = 10_000
_SAFE = ("GET", "HEAD", "OPTIONS")


class GuessingError(Exception):
    """A client that has sent too many wrong tokens sends another token: it is not looked at."""

    def __init__(self, wait: float) -> None:
        """Say that it may try again in *wait* seconds."""
        super().__init__(wait)
        self.wait = wait


class Gate:
    """Asks who is there."""

    def __init__(self, face: Face) -> None:
        """Begin with nobody signed in."""
        self._face = face
        self._sessions = _Sessions()
        self._guesses = _Guesses()

    def admit(self, scope: Scope) -> Caller:
        """Say who sent the request *scope*. Raises GuessingError."""
        token = credential(scope["headers"])
        if token:
            self._judge(scope, token)
        return self.again(scope)

    def again(self, scope: Scope) -> Caller:
        """Say it of one that was admitted before: the config may be another now, or the session over."""
        local, _ = scope["server"] or (None, None)
        return identify(self._face.config, scope["headers"], local, self._session_role(scope))

    def sign_in(self, scope: Scope, token: str) -> str | None:
        """Begin a session: what its cookie must hold, or None for a wrong token. Raises GuessingError."""
        role = self._judge(scope, token.encode("utf-8", "replace"))
        return (
            None if role is Role.VISITOR else self._sessions.begin(self._face.rand.id(), role, self._face.config.access)
        )

    def sign_out(self, scope: Scope) -> None:
        """End the session of the request, if it has one."""
        self._sessions.end(_cookie(scope))

    def signed_in(self, scope: Scope) -> bool:
        """Does a session go with the request?"""
        return self._sessions.role(_cookie(scope), self._face.config.access) is not Role.VISITOR

    def cookie(self, scope: Scope, value: str | None) -> str:
        """The `Set-Cookie` that keeps *value* for this browser, None: no longer.

        Its path is the prefix, and it is for HTTPS alone, where the address that the browser used (`Origin`) says so.
        """
        external, origin = self._face.config.external_url, (only(scope["headers"], b"origin") or b"").lower()
        prefix = urlsplit(external).path.strip("/") if external is not None and origin == origin_of(external) else ""
        path = f"/{prefix}/" if prefix else "/"
        parts = [f"{_name(scope)}={value or ''}", f"Path={path}", "HttpOnly", "SameSite=Strict"]
        parts.append(f"Max-Age={SESSION:.0f}" if value else "Max-Age=0")
        return "; ".join([*parts, *(["Secure"] if origin.startswith(b"https:") else [])])

    def _judge(self, scope: Scope, token: bytes) -> Role:
        """Say whose *token* this is, unless its sender has guessed too often."""
        client = _client(scope)
        wait = self._guesses.wait(client)
        if wait > 0:
            raise GuessingError(wait)
        role = role_of(self._face.config.access, token)
        if role is Role.VISITOR:
            self._guesses.wrong(client)
        return role

    def _session_role(self, scope: Scope) -> Role:
        # A browser names the origin of whatever changes something; where it does not, the cookie does not count.
        if scope.get("method", "GET") not in _SAFE and only(scope["headers"], b"origin") is None:
            return Role.VISITOR
        return self._sessions.role(_cookie(scope), self._face.config.access)


@attrs.frozen
class _Session:
    role: Role
    token: str = attrs.field(repr=False)  # the session ends with it
    until: float  # on trio's clock


class _Sessions:
    """Who is signed in: by a digest of what the cookie holds, so that looking it up tells nothing about it."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, ident: str, role: Role, access: Access) -> str:
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.popitem(last=False)
        self._sessions[_digest(ident)] = _Session(role, _token(access, role), trio.current_time() + SESSION)
        return ident

    def role(self, ident: str, access: Access) -> Role:
        found = self._sessions.get(_digest(ident))
        if found is None:
            return Role.VISITOR
        if found.until <= trio.current_time() or found.token != _token(access, found.role):
            self.end(ident)
            return Role.VISITOR
        return found.role

    def end(self, ident: str) -> None:
        self._sessions.pop(_digest(ident), None)


def _token(access: Access, role: Role) -> str:
    return access.admin_token if role is Role.ADMIN else access.read_token


def _digest(ident: str) -> bytes:
    return hashlib.sha256(ident.encode("utf-8", "replace")).digest()


class _Guesses:
    """How many wrong tokens each client has sent lately: a bucket that fills by one for each, and leaks."""

    def __init__(self) -> None:
        self._full_until: OrderedDict[str, float] = OrderedDict()  # when the bucket will be empty

    def wait(self, client: str) -> float:
        """Seconds until *client* may send a token; 0: now."""
        filled = self._full_until.get(client, 0.0) - trio.current_time()
        return max(0.0, filled - (GUESSES - 1) * ONE_MORE)

    def wrong(self, client: str) -> None:
        """Note that *client* sent a wrong one."""
        self._full_until[client] = max(self._full_until.get(client, 0.0), trio.current_time()) + ONE_MORE
        self._full_until.move_to_end(client)
        if len(self._full_until) > MOST_GUESSERS:
            self._full_until.popitem(last=False)


def _client(scope: Scope) -> str:
    """Who guesses: the peer, or whom a proxy on this machine names; of IPv6 the network, which one client has."""
    peer, _ = scope.get("client") or ("", 0)
    try:
        address = ip_address(peer)
        forwarded = only(scope["headers"], b"x-forwarded-for")
        if address.is_loopback and forwarded is not None:
            address = ip_address(forwarded.rpartition(b",")[2].strip().decode("latin-1"))
    except ValueError:
        return str(peer)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return address.exploded[:19]
    return str(address)


def _name(scope: Scope) -> str:
    """The cookie's name: browsers do not keep apart what is on several ports of one host."""
    _, port = scope["server"] or (None, 0)
    return f"monitor_{port}"


def _cookie(scope: Scope) -> str:
    """What the browser kept for us; empty: nothing. Others' cookies beside it may look as they like."""
    name = _name(scope).encode()
    for header, value in scope["headers"]:
        if header == b"cookie":
            for each in value.split(b";"):
                key, _, kept = each.strip().partition(b"=")
                if key == name:
                    return str(kept.decode("latin-1"))
    return ""

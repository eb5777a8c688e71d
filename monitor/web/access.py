"""Who is asking and what they may see (PRODUCT section 6): the one place that decides it, and denies by default.

A route names its `Audience`; `identify` makes the `Caller` of a request; everything else asks the caller. What a
caller may not see must be answered exactly like what does not exist. Pure rules; what is remembered of callers (who
signed in, who guesses tokens) is in gate.py.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.config import Access, Config, Listen
    from monitor.core.model import Endpoint

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[^\[\]:@/\s]+))(?::\d{0,5})?")


class Role(enum.IntEnum):
    """Each may do what those below it may."""

    VISITOR = 0
    READER = 1  # sees everything
    ADMIN = 2  # also changes things


class Audience(enum.Enum):
    """Whom a route is for."""

    EVERYBODY = "everybody"
    PUBLIC = "readers, and visitors where access is public"
    READERS = "readers"
    ADMINS = "admins"


@attrs.frozen
class Caller:
    """Whoever sent a request."""

    role: Role
    public: bool  # may visitors see the endpoints that are public?
    foreign: bool = False  # sent by a browser for a page of another site
    identified: bool = False  # by a token or a session, not by where they are

    @property
    def reads(self) -> bool:
        """Do they see everything?"""
        return self.role >= Role.READER

    def belongs_to(self, audience: Audience) -> bool:
        """Is a route for *audience* for them?"""
        match audience:
            case Audience.EVERYBODY:
                return True
            case Audience.PUBLIC:
                return self.reads or self.public
            case Audience.READERS:
                return self.reads
            case Audience.ADMINS:
                return self.role >= Role.ADMIN

    def sees(self, endpoint: Endpoint) -> bool:
        """May they know that *endpoint* exists?"""
        return self.reads or (self.public and endpoint.public)


def identify(
    config: Config, headers: Iterable[tuple[bytes, bytes]], local_address: str | None, session: Role = Role.VISITOR
) -> Caller:
    """Say who sent a request with *headers* (names in lower case) to our *local_address*; *session* is its cookie's."""
    values = list(headers)
    if _is_foreign(config, values):
        # A page of another site, in the browser of somebody who is a reader here: it gets what a stranger gets.
        return Caller(Role.VISITOR, config.access.public, foreign=True)
    role = max(role_of(config.access, credential(values)), session)
    if role is Role.VISITOR and _is_local(config, values, local_address):
        return Caller(Role.READER, config.access.public)
    return Caller(role, config.access.public, identified=role is not Role.VISITOR)


def bind_problem(listen: Listen, access: Access) -> str | None:
    """Say why the daemon may not listen there, or None if it may: other machines need a token, or the public face."""
    if _is_loopback(listen.host) or access.read_token or access.public:
        return None
    return (
        f"{listen} can be reached from other machines, so [monitor.access] must say who may look: "
        "set a read_token or public = true, or listen on 127.0.0.1"
    )


def role_of(access: Access, token: bytes) -> Role:
    """Say whose *token* this is."""
    # Both are compared whatever the first says, so that the time taken tells nothing.
    admin, reader = _same(token, access.admin_token), _same(token, access.read_token)
    if admin:
        return Role.ADMIN
    return Role.READER if reader else Role.VISITOR


def _same(given: bytes, token: str) -> bool:
    """Compare in constant time; an empty token is no token."""
    return hmac.compare_digest(given, token.encode()) and bool(token)


def credential(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The token of `Authorization: Bearer TOKEN`, or of Basic with the token as password; else empty."""
    scheme, _, credentials = (only(headers, b"authorization") or b"").partition(b" ")
    match scheme.lower():
        case b"bearer":
            return credentials.strip()
        case b"basic":
            try:
                return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
        case _:
            return b""


def _is_local(config: Config, headers: list[tuple[bytes, bytes]], local_address: str | None) -> bool:
    """Without a read_token, who reaches a loopback listener by a loopback name is on this machine.

    The name matters: a page of evil.example may make that name resolve to 127.0.0.1 (DNS rebinding), and
    then its requests arrive here from this machine's browser, but still with its own name in `Host`.
    """
    if config.access.read_token or local_address is None:
        return False
    if not (_is_loopback(config.listen.host) and _is_loopback(local_address)):
        return False
    host = _HOST.fullmatch((only(headers, b"host") or b"").decode("latin-1"))
    return host is not None and _is_loopback(host["v6"] or host["name"])


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_foreign(config: Config, headers: list[tuple[bytes, bytes]]) -> bool:
    """Did a browser send this for a page of another origin? The browser then says which, in `Origin`.

    It matters most for a WebSocket, which browsers let any page open and read.
    """
    origins = {value.lower() for name, value in headers if name == b"origin"}
    host = (only(headers, b"host") or b"").lower()
    own = {b"http://" + host, b"https://" + host} if host else set()
    external = origin_of(config.external_url)
    return not origins <= (own if external is None else {*own, external})


def origin_of(url: str | None) -> bytes | None:
    """The origin of *url* as browsers write it: `https://status.example.org`."""
    if url is None:
        return None
    parts = urlsplit(url.lower())
    usual = {"http": ":80", "https": ":443"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.removesuffix(usual)}".encode()


def only(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of the header *name*; None if there is none, or more than one to choose from."""
    values = [value for each, value in headers if each == name]
    return values[0] if len(values) == 1 else None

"""Who asks: the `User-Agent` and `Authorization` of the checks that speak HTTP, and the options of signing in."""

from __future__ import annotations

from typing import Literal

import attrs

from checks.options import http_url, scopes
from monitor.api import check_option, named_secrets, one_line

USER_AGENT = "nursery-monitor"


@attrs.frozen(kw_only=True)
class Basic:
    """A user's name and password."""

    username: str = check_option(doc="the user")
    password: str = check_option(doc="the password", secret=True)

    @property
    def header(self) -> str:
        """The value of the `Authorization` header (RFC 7617)."""
        return basic(self.username, self.password)


@attrs.frozen(kw_only=True)
class Digest:
    """A user's name and password, which the server does not get to see (RFC 7616)."""

    username: str = check_option(doc="the user")
    password: str = check_option(doc="the password", secret=True)


@attrs.frozen(kw_only=True)
class OAuth2:
    """Client credentials, for which an authorization server gives a token (RFC 6749, 4.4)."""

    token_url: str = check_option(doc="where tokens are given out, http or https", validator=http_url)
    client_id: str = check_option(doc="the client")
    client_secret: str = check_option(doc="its secret", secret=True)
    scopes: tuple[str, ...] = check_option(default=(), doc="what the token shall be good for", validator=scopes)
    parameters: dict[str, str] = check_option(factory=dict, doc="more to send, such as audience", secret=named_secrets)
    credentials_in: Literal["header", "body"] = check_option(
        default="header", doc="where the client's credentials go when a token is fetched"
    )

    def __attrs_post_init__(self) -> None:
        taken = sorted({"grant_type", "scope", "client_id", "client_secret"} & self.parameters.keys())
        if taken:
            raise ValueError(f"expected no {taken[0]} among the parameters, as it is sent anyway")


@attrs.frozen(kw_only=True)
class Auth:
    """How to authenticate: one of these."""

    basic: Basic | None = check_option(
        default=None,
        doc="user and password: { username, password }",
        secret=lambda basic: (basic.header.partition(" ")[2],),
    )
    bearer: str | None = check_option(default=None, doc="a token", validator=one_line, secret=True)
    digest: Digest | None = check_option(default=None, doc="user and password, unseen: { username, password }")
    oauth2: OAuth2 | None = check_option(
        default=None, doc="client credentials: { token_url, client_id, client_secret, … }"
    )

    def __attrs_post_init__(self) -> None:
        if sum(each is not None for each in (self.basic, self.bearer, self.digest, self.oauth2)) != 1:
            raise ValueError("expected exactly one of basic, bearer, digest and oauth2")

    @property
    def header(self) -> str | None:
        """The value of the `Authorization` header; None where the server, or another one, has to be asked first."""
        if self.bearer is not None:
            return f"Bearer {self.bearer}"
        return None if self.basic is None else self.basic.header


def basic(username: str, password: str) -> str:
    """The value of `Authorization` for a name and a password."""
    import base64  # noqa: PLC0415 - for the few that need it

    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")

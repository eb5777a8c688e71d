"""Who asks: the `User-Agent` and `Authorization` of the checks that speak HTTP."""

from __future__ import annotations

from typing import Any

import attrs

from monitor.api import check_option, one_line

USER_AGENT = "nursery-monitor"


@attrs.frozen(kw_only=True)
class Basic:
    """A user's name and password."""

    username: str = check_option(doc="the user")
    password: str = check_option(doc="the password")


@attrs.frozen(kw_only=True)
class Auth:
    """How to authenticate: one of these."""

    basic: Basic | None = check_option(default=None, doc="user and password: { username, password }")
    bearer: str | None = check_option(default=None, doc="a token", validator=one_line)
    oauth2: Any = check_option(default=None, doc="client credentials: { token_url, … }", available=False)

    def __attrs_post_init__(self) -> None:
        if (self.basic is None) == (self.bearer is None):
            raise ValueError("expected exactly one of basic and bearer")

    @property
    def header(self) -> str:
        """The value of the `Authorization` header."""
        if self.basic is None:
            return f"Bearer {self.bearer}"
        import base64  # noqa: PLC0415 - for the few that need it

        pair = f"{self.basic.username}:{self.basic.password}"
        return "Basic " + base64.b64encode(pair.encode()).decode("ascii")

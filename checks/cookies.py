"""The cookies of one visit: kept by the standard library's rules, bounded, gone when the probe is over.

This module costs httpx, so `http` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from monitor.api import Code, ProbeError, Reason

if TYPE_CHECKING:
    from monitor.api import Answer, Probe

_MOST = 50  # as RFC 6265 wants for a host at least
_LONGEST = 4096 + 1024  # bytes of a cookie, and of what is said about it


class Cookies:
    """A jar: what servers gave, for those they are meant for."""

    def __init__(self, probe: Probe) -> None:
        """Begin without any; values are kept out of what *probe* tells."""
        self._probe = probe
        self._jar = httpx.Cookies()

    def take(self, request: httpx.Request, answer: Answer) -> None:
        """Keep what came with the *answer* to *request*. Raises ProbeError (`limit`) for too many."""
        given = [(name, value) for name, value in answer.headers if name.lower() == b"set-cookie"]
        short = [(name, value) for name, value in given[: _MOST + 1] if len(value) <= _LONGEST]
        if not short:
            return
        self._jar.extract_cookies(httpx.Response(answer.status, headers=short, request=request))
        if len(self._jar.jar) > _MOST:
            raise ProbeError(Reason(Code.LIMIT, "processing", f"more than {_MOST} cookies"))
        for cookie in self._jar.jar:
            self._probe.conceal(cookie.value or "")

    @property
    def state(self) -> frozenset[str]:
        """What is in it, to see whether it changes."""
        return frozenset(f"{each.domain}{each.path} {each.name}={each.value}" for each in self._jar.jar)

    def of(self, url: httpx.URL) -> dict[str, str]:
        """Those that go to *url*, by name."""
        bare = httpx.Request("GET", url)
        self._jar.set_cookie_header(bare)
        pairs = (each.partition("=") for each in bare.headers.get("cookie", "").split("; ") if each)
        return {name: value for name, _, value in pairs}

    def onto(self, request: httpx.Request) -> httpx.Request:
        """*request* with the cookies for where it goes, after those that the config sends."""
        if not self._jar:
            return request
        bare = httpx.Request(request.method, request.url)
        self._jar.set_cookie_header(bare)
        ours = [each for each in (request.headers.get("cookie"), bare.headers.get("cookie")) if each]
        if not ours:
            return request
        headers = request.headers.copy()
        headers["Cookie"] = "; ".join(ours)
        return httpx.Request(request.method, request.url, headers=headers, content=request.content)

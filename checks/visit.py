"""A visit to a site: one request after another, where one alone will not do.

Redirects are followed, cookies kept, and who asks signs in where that takes more than a header. What the config says
of headers, credentials and certificates is for the endpoint's own origin: other places are asked without.

This module costs Trio and httpx, so `http` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checks.cookies import Cookies
from checks.redirects import Redirects, location_of, same_origin
from checks.signing import TOKEN_LIMIT, DigestSigner, TokenSigner

if TYPE_CHECKING:
    import httpx

    from checks.http import Http
    from monitor.api import Addressing, Answer, Probe


class Visit:
    """The requests of one probe; *url* and *redirects* are where the last of them has led, and by how many."""

    def __init__(self, check: Http, probe: Probe, addressing: Addressing) -> None:
        """Begin; the endpoint's own origin is looked for as *addressing* says."""
        self.url = ""
        self.redirects = 0
        self._check = check
        self._probe = probe
        self._addressing = addressing
        self._cookies = Cookies(probe)
        self._signer = self._signer_of(check)

    def _signer_of(self, check: Http) -> DigestSigner | TokenSigner | None:
        auth = check.auth
        if auth is not None and auth.digest is not None:
            return DigestSigner(auth.digest)
        if auth is not None and auth.oauth2 is not None:
            aside = self._probe.aside()

            async def ask(request: httpx.Request) -> Answer:
                at_home = same_origin(check.home, request.url)
                return await check.ask(
                    aside, request, self._addressing, at_home=at_home, body_limit=TOKEN_LIMIT, keepalive=False
                )

            return TokenSigner(auth.oauth2, self._probe, ask)
        return None

    def cookies(self, url: httpx.URL) -> dict[str, str]:
        """The cookies that go to *url*, by name."""
        return self._cookies.of(url)

    async def get(self, request: httpx.Request, *, follow: bool) -> Answer:
        """Send *request*, and go where the answer leads, if *follow*. Close what is returned."""
        answer = await self._send(request, None)
        if follow:
            return await self.follow(request, answer)
        self._arrive(request, answer, 0)
        return answer

    async def follow(self, request: httpx.Request, answer: Answer) -> Answer:
        """Go where the *answer* to *request* leads, as far as redirects may. Close what is returned."""
        check, redirects = self._check, None
        while location := location_of(answer):
            answer.close()  # a redirect's body is not read
            self._cookies.take(request, answer)
            if redirects is None:
                redirects = Redirects(
                    request,
                    max_redirects=check.max_redirects,
                    allow_downgrade=check.allow_downgrade,
                    allow_private=check.allow_private,
                )
            came_from = str(self._probe.facts["ip"]) if not check.proxy else request.url.host
            redirects.follow(location, answer.status, came_from=came_from, cookies=self._cookies.state)
            request = redirects.request
            answer = await self._send(request, redirects)
        self._arrive(request, answer, 0 if redirects is None else redirects.followed)
        return answer

    def _arrive(self, request: httpx.Request, answer: Answer, redirects: int) -> None:
        self.url, self.redirects = str(request.url), redirects
        try:
            self._cookies.take(request, answer)
        except BaseException:
            answer.close()
            raise

    async def _send(self, request: httpx.Request, redirects: Redirects | None) -> Answer:
        at_home = same_origin(self._check.home, request.url)
        is_known = redirects is None or (redirects.same_origin and self._check.proxy)
        vet = None if is_known or redirects is None else redirects.vet
        request = self._cookies.onto(request)

        async def ask(request: httpx.Request) -> Answer:
            return await self._check.ask(self._probe, request, self._addressing, at_home=at_home, vet=vet)

        return await (self._signer.send(request, ask) if at_home and self._signer is not None else ask(request))

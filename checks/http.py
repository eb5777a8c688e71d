"""`http`: fetch a URL and look at the answer. Read this one first: it is how a check is written.

One probe is one request on a fresh connection, and one more for each redirect, all under the one deadline of the
engine. The network layer measures the phases and bounds every size; what it raises passes through here, because
it already says what the server did wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from checks.answers import HTTP_FACTS, headers_of, text_of
from checks.auth import USER_AGENT, Auth, basic
from checks.connecting import Proxied
from checks.documents import parsed
from checks.http_steps import STEP_FACTS, Request, Step, compiled
from checks.options import headers, http_url, json_value, method, not_negative
from checks.redirects import location_of
from monitor.api import (
    TLS,
    Addressing,
    Answer,
    ByteSize,
    Fact,
    OptionError,
    Probe,
    Verdict,
    check_option,
    named_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import httpx

    from checks.visit import Visit


@attrs.frozen(kw_only=True)
class Http(Proxied):
    """Fetch a URL; up when the status is 2xx, or whatever `expect` says."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = HTTP_FACTS
    phases_metric: ClassVar[str] = "probe_http_duration_seconds"

    url: str = check_option(doc="the URL, http or https", validator=http_url)
    method: str = check_option(default="GET", doc="the request's method", validator=method)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers, secret=named_secrets)
    body: str | None = check_option(default=None, doc="body to send")
    json: Any = check_option(default=None, doc="body to send, as JSON", validator=json_value)
    auth: Auth | None = check_option(
        default=None, doc="{ basic = { username, password } }, { bearer = token }, digest or oauth2"
    )
    steps: tuple[Request, ...] = check_option(default=(), doc="requests to make one after another, in one visit")
    follow_redirects: bool = check_option(default=True, doc="follow redirects")
    max_redirects: int = check_option(default=5, doc="how many at most", validator=not_negative)
    allow_downgrade: bool = check_option(default=False, doc="follow a redirect from https to http")
    allow_private: bool = check_option(default=False, doc="follow a redirect from a public to a private address")
    addresses: Literal["any", "all"] = check_option(
        default="any", doc="look at one address of the host, or at all of them"
    )
    body_limit: ByteSize = check_option(default=ByteSize(1024**2), doc="largest body, on the wire and decoded")
    http2: bool = check_option(default=False, doc="offer HTTP/2 to a server that speaks TLS")
    keepalive: bool = check_option(default=False, doc="keep the connection from one probe to the next")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.body is not None and self.json is not None:
            raise OptionError("json", "expected either body or json, got both")
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise OptionError("auth", "expected either auth or an Authorization header, got both")
        if self.steps and (self.method != "GET" or self.body is not None or self.json is not None):
            raise OptionError("steps", "expected no method, body or json beside steps, each of which has its own")
        if self.steps:
            _ = self.walk  # compiled now, so that a mistake is the config's
        if self.addresses == "all" and self.keepalive:
            raise OptionError("keepalive", 'expected no keepalive beside addresses = "all": one connection is kept')
        if self.addresses == "all" and self.proxy:
            raise OptionError("addresses", 'expected no proxy beside addresses = "all": it is the proxy who connects')

    @property
    def _only_connects(self) -> bool:
        return self._is_plain

    @cached_property
    def _is_plain(self) -> bool:
        """One request, and redirects, by no proxy. A class that somebody derives has made no such promise."""
        more = self.steps or self._signs_in or self.addresses == "all" or self.keepalive or self.proxy or self.http2
        return type(self) is Http and not more

    @property
    def stays(self) -> bool:
        """Does it keep something between two probes?"""
        return self.keepalive or (self.auth is not None and self.auth.oauth2 is not None)

    async def probe(self, probe: Probe) -> Verdict:
        """Send the request, follow redirects, judge the last answer; of one address, or of all of them."""
        if self.addresses == "all":
            from checks.addresses import every_address  # noqa: PLC0415 - it costs Trio, which only who probes needs

            return await every_address(self, probe)
        return await self.look(probe, self.addressing)

    async def look(self, probe: Probe, addressing: Addressing) -> Verdict:
        """Look once, at where *addressing* leads."""
        if self.steps:
            from checks.walk import walk  # noqa: PLC0415 - as above

            return await walk(self, probe, addressing)
        request, visit = self._request, None
        if self._signs_in:
            visit = self._visit(probe, addressing)
            answer = await visit.get(request, follow=self.follow_redirects)
        else:
            answer = await self.ask(probe, request, addressing)
            if self.follow_redirects and location_of(answer) is not None:
                visit = self._visit(probe, addressing)
                answer = await visit.follow(request, answer)
        try:
            self.note(probe, answer, visit)
            body = await answer.read()
        finally:
            answer.close()
        self.note_body(probe, body)
        if not probe.expects("status") and not 200 <= answer.status < 300:
            # Judged after the transfer, but it is the answer's head that disappoints.
            return Verdict.down(f"expected status 200-299, got {answer.status}", phase="processing")
        return self.verdict(probe)

    def ask(  # what is awaited anyway needs no frame of its own
        self,
        probe: Probe,
        request: httpx.Request,
        addressing: Addressing,
        *,
        at_home: bool = True,
        vet: Callable[[str], None] | None = None,
        body_limit: int | None = None,
        keepalive: bool = True,
    ) -> Coroutine[Any, Any, Answer]:
        """Send *request* to the endpoint's own origin, which is *at_home*, or to another. Close what is returned.

        Without *keepalive* it goes by a connection of its own, whatever the config says.
        """
        transport = probe.transport(
            tls=self.tls_setting if at_home else self._tls_elsewhere,
            addressing=addressing if at_home else self._addressing_elsewhere,
            vet=vet,
            body_limit=self.body_limit if body_limit is None else body_limit,
            keepalive=self.keepalive and keepalive and at_home,
        )
        return transport.exchange(request)

    def _visit(self, probe: Probe, addressing: Addressing) -> Visit:
        from checks.visit import Visit  # noqa: PLC0415 - for who is redirected or signs in

        return Visit(self, probe, addressing)

    @cached_property
    def _signs_in(self) -> bool:
        return self.auth is not None and self.auth.header is None

    def note(self, probe: Probe, answer: Answer, visit: Visit | None) -> None:
        """Note what the head of *answer* says, and where *visit* has led; None: to the first URL."""
        probe.facts["status"] = answer.status
        probe.facts["headers"] = headers_of(answer.headers)
        probe.facts["http_version"] = answer.version
        probe.facts["url"] = self._shown_url if visit is None else visit.url
        probe.facts["redirects"] = 0 if visit is None else visit.redirects

    def note_body(self, probe: Probe, body: bytes, wanted: frozenset[str] = frozenset()) -> None:
        """Note what of *body* is mentioned by an expression, or *wanted* all the same."""
        probe.facts["body_size"] = len(body)
        if probe.mentions("body") or "body" in wanted:
            probe.facts["body"] = text_of(body, probe.facts["headers"].get("content-type", ""))
        if probe.mentions("json") or "json" in wanted:
            probe.facts["json"] = parsed(body, "transfer")

    @property
    def _alpn(self) -> tuple[str, ...]:
        return ("h2", "http/1.1") if self.http2 else ("http/1.1",)

    @cached_property
    def _tls_elsewhere(self) -> TLS:
        """For a redirect to another origin, which has a name of its own and no business with our certificate."""
        return attrs.evolve(self.tls_setting, server_name=None, client_cert=None, client_key=None)

    @cached_property
    def _addressing_elsewhere(self) -> Addressing:
        return attrs.evolve(self.addressing, address=None)

    @property
    def home(self) -> httpx.URL:
        """Whose origin is the endpoint's own."""
        return self._request.url

    @cached_property
    def _shown_url(self) -> str:
        return str(self._request.url)

    @cached_property
    def walk(self) -> tuple[Step, ...]:
        """The steps, compiled."""
        return compiled(self.steps, {**HTTP_FACTS, **STEP_FACTS})

    @cached_property
    def _request(self) -> httpx.Request:
        """The request, the same at every probe."""
        import httpx  # noqa: PLC0415 - only who probes needs it

        url = httpx.URL(self.url).copy_with(userinfo=b"", fragment=None)
        content = json.dumps(self.json) if self.json is not None else self.body
        return self.request_for(self.method, url, {}, content, None if self.json is None else "application/json")

    def request_for(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: str | None,
        kind: str | None,
        *,
        at_home: bool = True,
    ) -> httpx.Request:
        """Make a request with *headers* beside those that the endpoint always sends, where it is *at_home*."""
        import httpx  # noqa: PLC0415 - as above

        sent = {"User-Agent": USER_AGENT, "Accept": "*/*"} | ({} if kind is None else {"Content-Type": kind})
        if at_home and self._authorization is not None:
            sent["Authorization"] = self._authorization
        for more in (self.headers if at_home else {}, headers):
            own = {name.lower() for name in more}
            sent = {name: value for name, value in sent.items() if name.lower() not in own} | dict(more)
        return httpx.Request(
            method,
            url,
            headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in sent.items()],
            content=None if content is None else content.encode("utf-8"),
        )

    @property
    def _authorization(self) -> str | None:
        if self.auth is not None:
            return self.auth.header
        import httpx  # noqa: PLC0415 - as above

        url = httpx.URL(self.url)
        return basic(url.username, url.password) if url.userinfo else None

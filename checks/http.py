"""`http`: fetch a URL and look at the answer. Read this one first: it is how a check is written.

One probe is one request on a fresh connection, and one more for each redirect, all under the one deadline of the
engine. The network layer measures the phases and bounds every size; what it raises passes through here, because
it already says what the server did wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from checks.auth import USER_AGENT, Auth, basic
from checks.connecting import CONNECTION_FACTS, Proxied
from checks.documents import parsed
from checks.options import headers, http_url, json_value, method
from checks.redirects import location_of
from monitor.api import (
    TLS,
    Addressing,
    Answer,
    ByteSize,
    Fact,
    Metric,
    OptionError,
    Probe,
    Verdict,
    check_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from checks.visit import Visit


def _is_https(url: str) -> bool:
    return url.startswith("https:")


def _content_length(headers: Mapping[str, str]) -> int:
    return int(headers.get("content-length", -1))


def _last_modified(headers: Mapping[str, str]) -> float:
    from email.utils import mktime_tz, parsedate_tz  # noqa: PLC0415 - for the daemon; `validate` has no use for it

    parsed = parsedate_tz(headers["last-modified"])
    if parsed is None:
        raise ValueError("not a date")
    return mktime_tz(parsed)


@attrs.frozen(kw_only=True)
class Http(Proxied):
    """Fetch a URL; up when the status is 2xx, or whatever `expect` says."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "status": Fact(
            200,
            "status code of the last answer",
            metrics=(
                Metric("probe_http_status_code", "Status code of the last answer, 0: there was none.", default=0),
            ),
        ),
        "headers": Fact(
            {"content-type": "text/plain"},
            "its headers, names in lower case, repeated ones joined",
            metrics=(
                Metric("probe_http_content_length", "Content-Length, -1: it was not sent.", _content_length, default=0),
                Metric("probe_http_last_modified_timestamp_seconds", "Last-Modified, in Unix seconds.", _last_modified),
            ),
        ),
        "body": Fact("text", "its body as text: UTF-8, or what the charset says", keep=False),
        "json": Fact(None, "its body as JSON", keep=False),
        "url": Fact(
            "https://example.org/",
            "the URL after redirects",
            metrics=(Metric("probe_http_ssl", "Whether the last request went over TLS.", _is_https, default=0),),
        ),
        "redirects": Fact(
            0,
            "how many redirects were followed",
            metrics=(Metric("probe_http_redirects", "How many redirects were followed.", default=0),),
        ),
        "http_version": Fact(
            "1.1",
            "protocol version of the answer",
            metrics=(Metric("probe_http_version", "Protocol version of the answer, 0: there was none.", default=0),),
        ),
        **CONNECTION_FACTS,
        "body_size": Fact(
            1024,
            "size of the body in bytes, decoded",
            metrics=(Metric("probe_http_uncompressed_body_length", "Size of the body in bytes, decoded.", default=0),),
        ),
    }

    phases_metric: ClassVar[str] = "probe_http_duration_seconds"

    url: str = check_option(doc="the URL, http or https", validator=http_url)
    method: str = check_option(default="GET", doc="the request's method", validator=method)
    headers: dict[str, str] = check_option(factory=dict, doc="headers to send", validator=headers)
    body: str | None = check_option(default=None, doc="body to send")
    json: Any = check_option(default=None, doc="body to send, as JSON", validator=json_value)
    auth: Auth | None = check_option(
        default=None, doc="{ basic = { username, password } }, { bearer = token }, digest or oauth2"
    )
    follow_redirects: bool = check_option(default=True, doc="follow redirects")
    max_redirects: int = check_option(default=5, doc="how many at most")
    allow_downgrade: bool = check_option(default=False, doc="follow a redirect from https to http")
    allow_private: bool = check_option(default=False, doc="follow a redirect from a public to a private address")
    body_limit: ByteSize = check_option(default=ByteSize(1024**2), doc="largest body, on the wire and decoded")
    http2: bool = check_option(default=False, doc="offer HTTP/2 to a server that speaks TLS")
    keepalive: bool = check_option(default=False, doc="reuse the connection", available=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.body is not None and self.json is not None:
            raise OptionError("json", "expected either body or json, got both")
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise OptionError("auth", "expected either auth or an Authorization header, got both")
        if self.max_redirects < 0:
            raise OptionError("max_redirects", f"expected zero or more, got {self.max_redirects}")

    @property
    def stays(self) -> bool:
        """Does it keep something between two probes?"""
        return self.auth is not None and self.auth.oauth2 is not None

    async def probe(self, probe: Probe) -> Verdict:
        """Send the request, follow redirects, judge the last answer."""
        request, visit = self._request, None
        if self._signs_in:
            visit = self._visit(probe)
            answer = await visit.get(request, follow=self.follow_redirects)
        else:
            answer = await self.ask(probe, request, self.addressing)
            if self.follow_redirects and location_of(answer) is not None:
                visit = self._visit(probe)
                answer = await visit.follow(request, answer)
        try:
            self._note(probe, answer)
            probe.facts["url"] = self._shown_url if visit is None else visit.url
            probe.facts["redirects"] = 0 if visit is None else visit.redirects
            body = await answer.read()
        finally:
            answer.close()
        return self._judge(probe, answer.status, body)

    async def ask(
        self,
        probe: Probe,
        request: httpx.Request,
        addressing: Addressing,
        *,
        at_home: bool = True,
        vet: Callable[[str], None] | None = None,
        body_limit: int | None = None,
    ) -> Answer:
        """Send *request* to the endpoint's own origin, which is *at_home*, or to another. Close what is returned."""
        transport = probe.transport(
            tls=self.tls_setting if at_home else self._tls_elsewhere,
            addressing=addressing if at_home else self._addressing_elsewhere,
            vet=vet,
            body_limit=self.body_limit if body_limit is None else body_limit,
        )
        return await transport.exchange(request)

    def _visit(self, probe: Probe) -> Visit:
        from checks.visit import Visit  # noqa: PLC0415 - for who is redirected or signs in

        return Visit(self, probe, self.addressing)

    @cached_property
    def _signs_in(self) -> bool:
        return self.auth is not None and self.auth.header is None

    def _note(self, probe: Probe, answer: Answer) -> None:
        probe.facts["status"] = answer.status
        probe.facts["headers"] = _headers(answer.headers)
        probe.facts["http_version"] = answer.version

    def _judge(self, probe: Probe, status: int, body: bytes) -> Verdict:
        probe.facts["body_size"] = len(body)
        if probe.mentions("body"):
            probe.facts["body"] = _text(body, probe.facts["headers"].get("content-type", ""))
        if probe.mentions("json"):
            probe.facts["json"] = parsed(body, "transfer")
        if not probe.expects("status") and not 200 <= status < 300:
            # Judged after the transfer, but it is the answer's head that disappoints.
            return Verdict.down(f"expected status 200-299, got {status}", phase="processing")
        return self.verdict(probe)

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
    def _request(self) -> httpx.Request:
        """The request, the same at every probe."""
        import httpx  # noqa: PLC0415 - only who probes needs it

        url = httpx.URL(self.url)
        headers: dict[str, str] = {"User-Agent": USER_AGENT, "Accept": "*/*"}
        if self.auth is not None:
            if self.auth.header is not None:
                headers["Authorization"] = self.auth.header
        elif url.userinfo:
            headers["Authorization"] = basic(url.username, url.password)
        if self.json is not None:
            headers["Content-Type"] = "application/json"
        own = {name.lower() for name in self.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in own} | self.headers
        content = json.dumps(self.json) if self.json is not None else self.body
        return httpx.Request(
            self.method,
            url.copy_with(userinfo=b"", fragment=None),
            headers=[(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()],
            content=None if content is None else content.encode("utf-8"),
        )


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def _text(body: bytes, kind: str) -> str:
    """The body as text. Only harmless charsets are taken from the server's word, its content-type *kind*."""
    latin = any(charset in kind.lower() for charset in ("iso-8859-1", "latin-1", "latin1", "windows-1252"))
    return body.decode("latin-1" if latin else "utf-8", errors="replace")

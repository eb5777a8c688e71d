"""`http`: fetch a URL and look at the answer. Read this one first: it is how a check is written.

One probe is one request on a fresh connection, and one more for each redirect, all under the one deadline of the
engine. The network layer measures the phases and bounds every size; what it raises passes through here, because
it already says what the server did wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from checks import metrics
from checks.documents import parsed
from checks.options import address, headers, http_url, json_value, method, min_tls, server_name
from checks.redirects import Redirects, location_of
from monitor.api import (
    TLS,
    Answer,
    ByteSize,
    Check,
    Fact,
    Lifetime,
    Metric,
    OptionError,
    Probe,
    Verdict,
    certificates_file,
    check_option,
    one_line,
)

if TYPE_CHECKING:
    import httpx

USER_AGENT = "nursery-monitor"


def _is_https(url: str) -> bool:
    return url.startswith("https:")


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


@attrs.frozen(kw_only=True)
class Http(Check):
    """Fetch a URL; up when the status is 2xx, or whatever `expect` says."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "status": Fact(
            200,
            "status code of the last answer",
            metrics=(
                Metric("probe_http_status_code", "Status code of the last answer, 0: there was none.", default=0),
            ),
        ),
        "headers": Fact({"content-type": "text/plain"}, "its headers, names in lower case, repeated ones joined"),
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
        "ip": Fact("192.0.2.7", "address that was connected to", metrics=metrics.IP),
        "tls_version": Fact("1.3", "TLS version, absent on plain HTTP", metrics=metrics.TLS_VERSION),
        "cert_expires_in": Fact(
            timedelta(days=30), "until the certificate expires, absent on plain HTTP", metrics=metrics.CERT_EXPIRES_IN
        ),
        "cert_issuer": Fact("Example CA", "who issued the certificate, absent on plain HTTP"),
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
    auth: Auth | None = check_option(default=None, doc="{ basic = { username, password } } or { bearer = token }")
    follow_redirects: bool = check_option(default=True, doc="follow redirects")
    max_redirects: int = check_option(default=5, doc="how many at most")
    allow_downgrade: bool = check_option(default=False, doc="follow a redirect from https to http")
    allow_private: bool = check_option(default=False, doc="follow a redirect from a public to a private address")
    verify: bool = check_option(default=True, doc="verify the server's certificate")
    ca_file: Path | None = check_option(default=None, doc="trusted authorities, PEM", validator=certificates_file)
    client_cert: Path | None = check_option(default=None, doc="client certificate, PEM", available=False)
    client_key: Path | None = check_option(default=None, doc="its key, PEM", available=False)
    server_name: str | None = check_option(default=None, doc="name for SNI and the certificate", validator=server_name)
    min_tls: Literal["1.2", "1.3"] | None = check_option(default=None, doc="lowest TLS version", validator=min_tls)
    ip_version: Literal[4, 6] | None = check_option(default=None, doc="only IPv4 or IPv6", available=False)
    address: str | None = check_option(default=None, doc="connect there, keep Host and SNI", validator=address)
    proxy: str | None = check_option(default=None, doc="connect through it", available=False)
    body_limit: ByteSize = check_option(default=ByteSize(1024**2), doc="largest body, on the wire and decoded")
    keepalive: bool = check_option(default=False, doc="reuse the connection", available=False)
    dns_ttl: Lifetime = check_option(default=Lifetime(0), doc="how long a look-up may be kept; 0s: looked up each time")

    def __attrs_post_init__(self) -> None:
        if self.body is not None and self.json is not None:
            raise OptionError("json", "expected either body or json, got both")
        if self.auth is not None and any(name.lower() == "authorization" for name in self.headers):
            raise OptionError("auth", "expected either auth or an Authorization header, got both")
        if self.max_redirects < 0:
            raise OptionError("max_redirects", f"expected zero or more, got {self.max_redirects}")

    async def probe(self, probe: Probe) -> Verdict:
        """Send the request, follow redirects, judge the last answer."""
        request, redirects = self._request, None
        answer = await self._send(probe, request, redirects)
        while self.follow_redirects and (location := location_of(answer)):
            answer.close()  # a redirect's body is not read
            if redirects is None:
                redirects = self._redirects(request)
            redirects.follow(location, answer.status, came_from=str(probe.facts["ip"]))
            request = redirects.request
            answer = await self._send(probe, request, redirects)
        try:
            self._note(probe, answer)
            probe.facts["url"] = self._shown_url if redirects is None else str(request.url)
            probe.facts["redirects"] = 0 if redirects is None else redirects.followed
            body = await answer.read()
        finally:
            answer.close()
        return self._judge(probe, answer.status, body)

    async def _send(self, probe: Probe, request: httpx.Request, redirects: Redirects | None) -> Answer:
        at_home = redirects is None or redirects.same_origin
        transport = probe.transport(
            tls=self._tls if at_home else self._tls_elsewhere,
            address=self.address if at_home else None,
            vet=None if redirects is None else redirects.vet,
            dns_ttl=self.dns_ttl,
            body_limit=self.body_limit,
        )
        return await transport.exchange(request)

    def _redirects(self, request: httpx.Request) -> Redirects:
        return Redirects(
            request,
            max_redirects=self.max_redirects,
            allow_downgrade=self.allow_downgrade,
            allow_private=self.allow_private,
        )

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
        return Verdict.up()

    @cached_property
    def _tls(self) -> TLS:
        return TLS(verify=self.verify, ca_file=self.ca_file, min_tls=self.min_tls, server_name=self.server_name)

    @cached_property
    def _tls_elsewhere(self) -> TLS:
        """For a redirect to another origin, which has a name of its own."""
        return attrs.evolve(self._tls, server_name=None)

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
            headers["Authorization"] = self.auth.header
        elif url.userinfo:
            headers["Authorization"] = Auth(basic=Basic(username=url.username, password=url.password)).header
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

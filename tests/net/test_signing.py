"""Signing in: digest against a server that checks it by the RFC, tokens of an authorization server; what never leaks.

The servers are real ones on loopback. A probe that is to remember a token has a companion, as a watched endpoint has.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

import attrs
import pytest
import trio
from support.probes import answers, endpoint, http, look, serve
from test_every_address import net as named
from test_every_address import serve_at

from checks.auth import Auth, Digest, OAuth2
from checks.http import Http
from monitor.companion import Companion
from monitor.net.sockets import SocketNet
from monitor.probing import probe_once
from monitor.system import SystemClock

if TYPE_CHECKING:
    from support.probes import Handler

    from monitor.core.model import Observation

SECRET = "s3cret-of-the-client"


async def read_whole(stream: trio.SocketStream) -> tuple[str, dict[str, str], bytes]:
    """A request: its first line, headers by lower-case name, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            raise trio.BrokenResourceError
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive_some()
    return first, headers, body


class DigestServer:
    """Lets in who knows the password, by RFC 7616; written from the RFC, not from the client."""

    def __init__(self, algorithm: str | None, qop: str | None = "auth", more: tuple[str, ...] = ()) -> None:
        self.algorithm = algorithm
        self.qop = qop
        self.more = more  # challenges before ours
        self.seen: list[bool] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        first, headers, _ = await read_whole(stream)
        good = self.is_good(first, headers.get("authorization", ""))
        self.seen.append(good)
        algorithm = f", algorithm={self.algorithm}" if self.algorithm else ""
        qop = f', qop="{self.qop}"' if self.qop else ""
        ours = f'Digest realm="the shop, \'x\'", nonce="n0nce=="{algorithm}{qop}, opaque="op"'
        challenges = [f"WWW-Authenticate: {each}" for each in (*self.more, ours)]
        await stream.send_all(http(200, b"in") if good else http(401, b"", *challenges))

    def is_good(self, first: str, authorization: str) -> bool:
        said = dict(re.findall(r'(\w+)=(?:"?)((?<=")[^"]*|[^",\s]+)', authorization))
        if not authorization.startswith("Digest ") or said.get("nonce") != "n0nce==" or said.get("opaque") != "op":
            return False
        name = (self.algorithm or "MD5").upper()

        def digest(*parts: str) -> str:
            return hashlib.new(name.removesuffix("-SESS").replace("-", ""), ":".join(parts).encode()).hexdigest()

        method, path, _ = first.split(" ")
        one = digest(said["username"], said["realm"], "pass word")
        if name.endswith("-SESS"):
            one = digest(one, said["nonce"], said["cnonce"])
        two = digest(method, path)
        if self.qop is None:
            wanted = digest(one, said["nonce"], two)
        else:
            wanted = digest(one, said["nonce"], said["nc"], said["cnonce"], said["qop"], two)
        return said["uri"] == path and said["response"] == wanted and said["username"] == "me"


def digest(port: int, password: str = "pass word") -> Http:
    auth = Auth(digest=Digest(username="me", password=password))
    return Http(url=f"http://127.0.0.1:{port}/a?b=c", auth=auth)


# A session needs the client's nonce, which goes with qop.
KINDS = [
    (algorithm, qop)
    for algorithm in (None, "MD5", "MD5-sess", "SHA-256", "SHA-256-sess")
    for qop in (None, "auth", "auth-int,auth")
    if qop is not None or algorithm is None or not algorithm.endswith("-sess")
]


@pytest.mark.parametrize(("algorithm", "qop"), KINDS)
async def test_digest(nursery: trio.Nursery, algorithm: str | None, qop: str | None) -> None:
    server = DigestServer(algorithm, qop)
    port = await serve(nursery, server)
    seen = await look(digest(port))
    assert (seen.status, server.seen) == ("up", [False, True]), seen.reason
    wrong = await look(digest(port, "wrong"))
    assert wrong.reason.message == "expected status 200-299, got 401"


async def test_the_first_challenge_that_is_known_is_answered(nursery: trio.Nursery) -> None:
    server = DigestServer("SHA-256", more=('Digest realm="x", nonce="y", algorithm=SHA-512-256', 'Basic realm="x"'))
    seen = await look(digest(await serve(nursery, server)))
    assert seen.status == "up", seen.reason


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        ('Digest realm="x", nonce="y", algorithm=token', "it wants the algorithm TOKEN"),
        ('Digest realm="x", nonce="y", qop="auth-int"', "it wants qop auth-int, and only auth is known"),
        ('Digest realm="x"', "it is malformed"),
        ("Digest nonsense", "it is malformed"),
        ('Digest realm="x", nonce="y", nonsense', "it is malformed"),
    ],
)
async def test_what_cannot_be_answered(nursery: trio.Nursery, challenge: str, message: str) -> None:
    seen = await look(digest(await serve(nursery, answers(http(401, b"", f"WWW-Authenticate: {challenge}")))))
    assert (seen.status, seen.reason.code) == ("down", "protocol")
    assert seen.reason.message == f"the server's digest challenge cannot be answered: {message}"
    other = await look(digest(await serve(nursery, answers(http(401, b"", 'WWW-Authenticate: Basic realm="x"')))))
    assert other.reason.message == "expected status 200-299, got 401"


class TokenServer:
    """Gives out tokens `token-1`, `token-2`, … for client credentials."""

    def __init__(self, **more: Any) -> None:
        self.more = {"token_type": "Bearer", "expires_in": 3600} | more
        self.given = 0
        self.asked: list[tuple[str, dict[str, list[str]]]] = []  # credentials, form

    async def __call__(self, stream: trio.SocketStream) -> None:
        first, headers, body = await read_whole(stream)
        assert first.startswith("POST /token ")
        form = parse_qs(body.decode())
        user, _, password = b64decode(headers.get("authorization", "").removeprefix("Basic ")).decode().partition(":")
        self.asked.append((f"{unquote_plus(user)} {unquote_plus(password)}".strip(), form))
        self.given += 1
        document = {"access_token": f"token-{self.given}-of-the-server", **self.more}
        await stream.send_all(http(200, json.dumps(document).encode(), "Content-Type: application/json"))


class Guarded:
    """Lets in who has one of the tokens that are *good*; says back what it was shown."""

    def __init__(self, *good: int) -> None:
        self.good = good
        self.seen: list[str] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        _, headers, _ = await read_whole(stream)
        shown = headers.get("authorization", "")
        self.seen.append(shown.removeprefix("Bearer token-").partition("-")[0])
        status = 200 if any(shown == f"Bearer token-{number}-of-the-server" for number in self.good) else 401
        await stream.send_all(http(status, shown.encode(), f"X-Shown: {shown}"))


def guarded(port: int, tokens: int, **more: Any) -> Http:
    client: dict[str, Any] = {"client_id": "shop&co", "client_secret": SECRET}
    oauth2 = OAuth2(token_url=f"http://127.0.0.1:{tokens}/token", **client, **more)
    return Http(url=f"http://127.0.0.1:{port}/", auth=Auth(oauth2=oauth2))


class Watched:
    """Probes again and again with a companion, as the daemon does."""

    def __init__(self, nursery: trio.Nursery, check: Http, *, net: Any = None, **settings: Any) -> None:
        self.net = net or SocketNet()
        self.endpoint = endpoint(check, **settings)
        assert check.stays
        self.clock = SystemClock()
        self.companion = Companion(self.endpoint, nursery, clock=self.clock, wake=lambda: None)

    async def look(self) -> Observation:
        return await probe_once(self.endpoint, net=self.net, clock=self.clock, mask=None, companion=self.companion)


async def test_a_token_is_fetched_once_and_kept(nursery: trio.Nursery) -> None:
    tokens, site = TokenServer(), Guarded(1)
    check = guarded(
        await serve(nursery, site), await serve(nursery, tokens), scopes=("a", "b"), parameters={"audience": "x y"}
    )
    watched = Watched(nursery, check)
    first, second = await watched.look(), await watched.look()
    assert (first.status, second.status) == ("up", "up"), first.reason
    assert (site.seen, tokens.given) == (["1", "1"], 1)
    form = {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["x y"]}
    assert tokens.asked == [(f"shop&co {SECRET}", form)]
    assert list(first.phases) == ["auth", "resolve", "connect", "processing", "transfer"]
    assert "auth" not in second.phases


async def test_one_that_is_refused_is_fetched_again_once(nursery: trio.Nursery) -> None:
    tokens, site = TokenServer(), Guarded(1)
    watched = Watched(nursery, guarded(await serve(nursery, site), await serve(nursery, tokens)))
    assert (await watched.look()).status == "up"
    site.good = (2,)
    assert (await watched.look()).status == "up"
    assert (site.seen, tokens.given) == (["1", "1", "2"], 2)
    site.good = ()
    seen = await watched.look()
    assert (seen.status, seen.reason.message) == ("down", "expected status 200-299, got 401")
    assert (site.seen[3:], tokens.given) == (["2", "3"], 3)
    await watched.look()
    assert (site.seen[5:], tokens.given) == (["4"], 4)  # it was fresh: no use in another


async def test_one_that_expires_is_not_used_to_its_end(nursery: trio.Nursery) -> None:
    tokens, site = TokenServer(expires_in=1e-9), Guarded(1, 2)
    watched = Watched(nursery, guarded(await serve(nursery, site), await serve(nursery, tokens)))
    assert [(await watched.look()).status for _ in "ab"] == ["up", "up"]
    assert (site.seen, tokens.given) == (["1", "2"], 2)


@pytest.mark.parametrize("lasts", [None, "3600", True, -1, "soon"])
async def test_how_long_it_lasts_may_be_said_oddly(nursery: trio.Nursery, lasts: Any) -> None:
    tokens = TokenServer(expires_in=lasts)
    watched = Watched(nursery, guarded(await serve(nursery, Guarded(1)), await serve(nursery, tokens)))
    assert [(await watched.look()).status for _ in "ab"] == ["up", "up"]
    assert tokens.given == 1


async def test_many_addresses_share_a_token(nursery: trio.Nursery) -> None:
    tokens, site = TokenServer(), Guarded(1)
    port, ips = await serve_at(nursery, site, site, site)
    plain = guarded(port, await serve(nursery, tokens))
    check = attrs.evolve(plain, url=f"http://shop.test:{port}/", addresses="all")
    watched = Watched(nursery, check, net=named(ips))
    assert (await watched.look()).status == "up"
    assert (tokens.given, site.seen) == (1, ["1"] * 3)
    site.good = (2,)
    assert (await watched.look()).status == "up"
    assert tokens.given == 2


async def test_credentials_may_go_in_the_body(nursery: trio.Nursery) -> None:
    tokens = TokenServer()
    seen = await look(guarded(await serve(nursery, Guarded(1)), await serve(nursery, tokens), credentials_in="body"))
    assert seen.status == "up", seen.reason
    form = {"grant_type": ["client_credentials"], "client_id": ["shop&co"], "client_secret": [SECRET]}
    assert tokens.asked == [("", form)]


async def test_what_a_server_echoes_of_a_token_is_masked(nursery: trio.Nursery) -> None:
    check = guarded(await serve(nursery, Guarded(1)), await serve(nursery, TokenServer()))
    seen = await look(check, expect=("headers['x-shown'] == 'nothing'",))
    assert seen.status == "down"
    assert seen.facts["headers"]["x-shown"] == "Bearer ***"
    assert "of-the-server" not in f"{seen!r}"


ODD = http(200, b'{"access_token": "a b", "token_type": "Bearer"}')
OTHER = http(200, b'{"access_token": "a", "token_type": "mac"}')
REFUSED = http(401, b'{"error": "invalid_client", "error_description": "s3cret-of-the-client"}')
WHY = "no access token: "


@pytest.mark.parametrize(
    ("handler", "code", "message"),
    [
        (answers(REFUSED), "expectation", "expected status 200 of its server, got 401 (invalid_client)"),
        (answers(http(400, b'{"error": "<b>"}')), "expectation", "expected status 200 of its server, got 400"),
        (answers(http(302, b"", "Location: /x")), "expectation", "expected status 200 of its server, got 302"),
        (answers(http(200, b"no JSON")), "protocol", "its server answered with none that can be used"),
        (answers(http(200, b"[]")), "protocol", "its server answered with none that can be used"),
        (answers(ODD), "protocol", "its server answered with none that can be used"),
        (answers(OTHER), "protocol", "expected one of the type bearer, its server gave another"),
        (answers(http(200, b"x" * 70_000)), "limit", "body is larger than 64 KiB"),
        (answers(), "protocol", "the server closed the connection without an answer"),
        (answers(then="reset"), "connect", "connection reset by the server"),
        (answers(then="hold"), "timeout", ""),
    ],
)
async def test_no_token(nursery: trio.Nursery, handler: Handler, code: str, message: str) -> None:
    site = Guarded(1)
    check = guarded(await serve(nursery, site), await serve(nursery, handler))
    seen = await look(check, timeout=0.3 if code == "timeout" else 5)
    assert (seen.status, seen.reason.code, seen.reason.phase) == ("down", code, "auth")
    assert seen.reason.message == (WHY + message if message else "no answer within 300 ms (during auth)")
    assert SECRET not in f"{seen!r}"
    assert site.seen == []
    assert "ip" not in seen.facts


async def test_neither_goes_to_another_origin(nursery: trio.Nursery) -> None:
    other = Guarded()
    away = await serve(nursery, other)
    here = await serve(nursery, answers(http(302, b"", f"Location: http://127.0.0.1:{away}/")))
    auth = Auth(digest=Digest(username="me", password="pass word"))
    for check in (guarded(here, await serve(nursery, TokenServer())), Http(url=f"http://127.0.0.1:{here}/", auth=auth)):
        seen = await look(check)
        assert (seen.reason.message, seen.facts["redirects"]) == ("expected status 200-299, got 401", 1)
    assert other.seen == ["", ""]

"""Signing in where it takes more than a header: a digest of what the server says, a token of another server's.

A signer sends a request by a transport of the visit, perhaps twice. What it adds goes to the endpoint's own origin
alone. The token stays with the endpoint (`probe.companion`) until it expires or is refused, in memory only.

This module costs Trio and httpx, so `http` imports it when it probes, not when a config is read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import attrs
import httpx
import trio

from checks.auth import Digest, OAuth2, basic
from checks.documents import parsed
from monitor.api import Code, ProbeError, Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from monitor.api import Answer, Probe

    Exchange = Callable[[httpx.Request], Awaitable[Answer]]
    """Sends a request and gives the head of its answer; raises ProbeError, or BrokenResourceError caused by one."""

PHASE = "auth"
TOKEN_LIMIT = 64 * 1024  # bytes of an answer with a token
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,16384}=*", re.ASCII)  # RFC 6750, 2.1
_ERROR = re.compile(r"[a-z_]{1,40}", re.ASCII)
_KEPT, _TURNS = "oauth2", "oauth2 turns"
_EARLY = 30.0  # seconds before its end from which on a token is not used any more, at most a tenth of its life
_ALGORITHMS = frozenset({"MD5", "SHA-256", "SHA-512"})  # each with -sess, too
_PARAMETER = re.compile(r'\b(algorithm|qop|realm|nonce)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)


def reason_in(exc: ProbeError | trio.BrokenResourceError) -> Reason:
    """The reason that what the network layer raised carries."""
    failure = exc if isinstance(exc, ProbeError) else exc.__cause__
    assert isinstance(failure, ProbeError)  # noqa: S101 - what the engine's streams promise
    return failure.reason


def with_authorization(request: httpx.Request, value: str) -> httpx.Request:
    """*request* once more, with *value* in `Authorization`."""
    headers = request.headers.copy()
    headers["Authorization"] = value
    return httpx.Request(request.method, request.url, headers=headers, content=request.content)


class DigestSigner:
    """Asks, and asks again with a digest of the challenge: RFC 7616 by httpx, for `qop=auth`."""

    def __init__(self, digest: Digest) -> None:
        """Sign with *digest*."""
        self._digest = digest

    async def send(self, request: httpx.Request, exchange: Exchange) -> Answer:
        """Send *request*, and once more where the server wants a digest."""
        answer = await exchange(request)
        if answer.status != 401:
            return answer
        challenges = [value.decode("latin-1") for name, value in answer.headers if name.lower() == b"www-authenticate"]
        challenge = _first_possible([each for each in challenges if each[:7].lower() == "digest "])
        if challenge is None:
            return answer  # it wants something else: the 401 stands for itself
        answer.close()
        return await exchange(self._signed(request, challenge))

    def _signed(self, request: httpx.Request, challenge: str) -> httpx.Request:
        again = httpx.Request(request.method, request.url, headers=request.headers.copy(), content=request.content)
        flow = httpx.DigestAuth(self._digest.username, self._digest.password).auth_flow(again)
        next(flow)
        try:
            return flow.send(httpx.Response(401, headers={"WWW-Authenticate": challenge}, request=again))
        except (httpx.ProtocolError, ValueError, KeyError) as exc:
            raise _unanswerable("it is malformed") from exc


def _first_possible(challenges: list[str]) -> str | None:
    """The first of the server's *challenges* that can be answered; None without any. Raises ProbeError."""
    problem = None
    for challenge in challenges:
        said = {found[0].lower(): found[1] or found[2] for found in _PARAMETER.findall(challenge)}
        algorithm = said.get("algorithm", "MD5").upper()
        if algorithm.removesuffix("-SESS") not in _ALGORITHMS:
            problem = problem or f"it wants the algorithm {algorithm[:20]}"
        elif "auth" not in said.get("qop", "auth").replace(" ", "").split(","):
            problem = problem or f"it wants qop {said['qop'][:20]}, and only auth is known"
        elif not {"realm", "nonce"} <= said.keys():
            problem = problem or "it is malformed"
        else:
            return challenge
    if problem is not None:
        raise _unanswerable(problem)
    return None


def _unanswerable(why: str) -> ProbeError:
    return ProbeError(Reason(Code.PROTOCOL, "processing", f"the server's digest challenge cannot be answered: {why}"))


@attrs.frozen
class _Token:
    """An access token, and when on the loop's clock it must not be used any more."""

    value: str
    until: float = float("inf")


class TokenSigner:
    """Fetches a token where there is none that is still good, and once more where it is refused."""

    def __init__(self, oauth2: OAuth2, probe: Probe, exchange: Exchange) -> None:
        """Fetch tokens by *exchange*, which notes nothing in *probe*."""
        self._oauth2 = oauth2
        self._probe = probe
        self._exchange = exchange
        self._memory: dict[str, Any] = {} if probe.companion is None else probe.companion.memory
        self._turns: trio.Lock = self._memory.setdefault(_TURNS, trio.Lock())

    async def send(self, request: httpx.Request, exchange: Exchange) -> Answer:
        """Send *request* with a token."""
        token, is_fresh = await self._token(None)
        answer = await exchange(with_authorization(request, f"Bearer {token.value}"))
        if answer.status == 401 and not is_fresh:  # withdrawn before its time
            answer.close()
            token, _ = await self._token(token)
            answer = await exchange(with_authorization(request, f"Bearer {token.value}"))
        if answer.status == 401:
            self._memory.pop(_KEPT, None)
        return answer

    async def _token(self, refused: _Token | None) -> tuple[_Token, bool]:
        """One that is good, other than the one that was *refused*, and whether it was fetched just now."""
        async with self._turns:  # of many addresses that are looked at together, one fetches it for all
            kept = self._kept()
            return (await self._fetched(), True) if kept is None or kept is refused else (kept, False)

    def _kept(self) -> _Token | None:
        token = self._memory.get(_KEPT)
        if not isinstance(token, _Token) or self._probe.monotonic() >= token.until:
            return None
        self._probe.conceal(token.value)
        return token

    async def _fetched(self) -> _Token:
        self._memory.pop(_KEPT, None)
        self._probe.phase(PHASE)
        self._probe.conceal(self._oauth2.client_secret)
        try:
            answer = await self._exchange(self._request())
            try:
                body = await answer.read()
            finally:
                answer.close()
            token = self._read(answer.status, body)
        except (ProbeError, trio.BrokenResourceError) as exc:
            reason = reason_in(exc)
            if reason.code is Code.INTERNAL:
                raise
            raise ProbeError(Reason(reason.code, PHASE, f"no access token: {reason.message}")) from exc
        self._memory[_KEPT] = token
        return token

    def _request(self) -> httpx.Request:
        options = self._oauth2
        form = {"grant_type": "client_credentials", **options.parameters}
        if options.scopes:
            form["scope"] = " ".join(options.scopes)
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if options.credentials_in == "header":  # RFC 6749, 2.3.1: encoded as in a form
            headers["Authorization"] = basic(quote_plus(options.client_id), quote_plus(options.client_secret))
        else:
            form |= {"client_id": options.client_id, "client_secret": options.client_secret}
        return httpx.Request("POST", options.token_url, headers=headers, content=urlencode(form))

    def _read(self, status: int, body: bytes) -> _Token:
        document = parsed(body, PHASE)
        said = document if isinstance(document, dict) else {}
        if status != 200:
            error = said.get("error")
            why = f" ({error})" if isinstance(error, str) and _ERROR.fullmatch(error) else ""
            raise ProbeError(Reason(Code.EXPECTATION, PHASE, f"expected status 200 of its server, got {status}{why}"))
        value, kind, lasts = (said.get(key) for key in ("access_token", "token_type", "expires_in"))
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise ProbeError(Reason(Code.PROTOCOL, PHASE, "its server answered with none that can be used"))
        self._probe.conceal(value)
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise ProbeError(Reason(Code.PROTOCOL, PHASE, "expected one of the type bearer, its server gave another"))
        if isinstance(lasts, str) and lasts.isascii() and lasts.isdigit():  # as some servers write it
            lasts = int(lasts[:9])
        if isinstance(lasts, bool) or not isinstance(lasts, int | float) or not lasts > 0:
            return _Token(value)  # good until it is refused
        return _Token(value, self._probe.monotonic() + lasts - min(_EARLY, lasts / 10))

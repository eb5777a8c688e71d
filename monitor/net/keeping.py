"""A connection that stays between two probes: `keepalive`.

It stays with the endpoint's companion, one for each, and goes with it. Before it is used again it is looked at: who has
said something meanwhile, or hung up, is left for a fresh connection. A server may hang up just as we ask; then a fresh
connection is asked once more, by methods that may be repeated (RFC 9110, 9.2.2). All others get a fresh one at once.

A probe on a connection that was kept has no phases resolve, connect and tls, and the fact `reused` says so; what TLS
found out when it was opened is noted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

from monitor.core.errors import ProbeError, leaves
from monitor.net.tls import note_expiry
from monitor.net.transport import PREPARED_TO_STAY, Transport, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime
    from typing import NoReturn

    import httpx

    from monitor.net import Stream, Trace
    from monitor.net.exchange import Prepared, WholeAnswer
    from monitor.net.http2 import Session

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_EVIDENCE = ("ip", "tls_version", "cert_issuer", "cert_expires_in")


@attrs.define(eq=False)
class _Kept:
    """One connection, and what was found out when it was opened."""

    stream: Stream
    where: tuple[str, int, bool]
    facts: Mapping[str, Any]
    expires: datetime | None  # its certificate
    session: Session | None  # of HTTP/2
    is_used: bool = False

    def tell(self, trace: Trace) -> None:
        """Note again what was found out."""
        trace.facts.update(self.facts)
        if self.expires is not None:
            note_expiry(self.expires, trace)


class KeepingTransport(Transport):
    """Sends requests on the connection that is kept, or on one that is kept from now on."""

    def __init__(
        self, *args: Any, keep: Callable[..., Awaitable[Any]], let_go: Callable[[], None], **options: Any
    ) -> None:
        """Keep by *keep*, which is `Probe.keep`; *let_go* is `Companion.let_go`."""
        super().__init__(*args, **options)
        self._keep = keep
        self._let_go = let_go

    async def exchange(self, request: httpx.Request) -> WholeAnswer:
        """See `Transport.exchange`; closing the answer keeps the connection, if it was read to its end."""
        prepared = request.extensions.get(PREPARED_TO_STAY) or await prepare(request, self._forwarder, close=False)
        may_repeat = request.method in _REPEATABLE
        kept = await self._current(prepared, fresh=not may_repeat)
        was_used = kept.is_used
        try:
            return await self._answer(kept, prepared, request)
        except (ProbeError, trio.BrokenResourceError):
            heard = getattr(self._trace, "current_phase", None) != "processing"
            if heard or not (was_used and may_repeat):
                raise
        kept = await self._current(prepared, fresh=True)
        return await self._answer(kept, prepared, request)

    async def _current(self, prepared: Prepared, *, fresh: bool) -> _Kept:
        """The connection that is kept, if it is good still and none *fresh* is wanted; else another."""
        where = (prepared.host, prepared.port, prepared.encrypted)

        async def stay(*, task_status: trio.TaskStatus[_Kept]) -> NoReturn:
            task_status.started(await self._kept(prepared, where))
            await trio.sleep_forever()
            raise AssertionError

        if fresh:
            self._let_go()
        kept = await self._begun(stay)
        if kept.is_used and (kept.where != where or not kept.stream.is_quiet):
            self._let_go()
            kept = await self._begun(stay)
        if kept.is_used:
            kept.tell(self._trace)
        self._trace.facts["reused"] = kept.is_used
        return kept

    async def _begun(self, stay: Callable[..., Awaitable[None]]) -> _Kept:
        try:
            kept = await self._keep(stay)
        except ExceptionGroup as group:  # it was opened in nurseries of the companion's
            raise next(leaves(group)) from None
        assert isinstance(kept, _Kept)  # noqa: S101 - nothing else stays with the check
        return kept

    async def _kept(self, prepared: Prepared, where: tuple[str, int, bool]) -> _Kept:
        trace = self._trace
        stream = await self._opened(prepared)
        facts = {name: trace.facts[name] for name in _EVIDENCE if name in trace.facts}
        left = facts.pop("cert_expires_in", None) if prepared.encrypted else None
        expires = None if left is None else trace.started_at + left
        return _Kept(stream, where, facts, expires, self._session_on(stream, prepared))

    async def _answer(self, kept: _Kept, prepared: Prepared, request: httpx.Request) -> WholeAnswer:
        kept.is_used = True
        try:
            answer = await self._asked(request, prepared, kept.stream, kept.session)
        except BaseException:
            self._let_go()
            raise
        answer.keep(self._let_go)
        return answer

"""`apprise`: each alert to one of the hundred services that Apprise knows (https://appriseit.com), by its URLs.

An optional extra: `pip install nursery-monitor[apprise]`. Apprise blocks, so it works in threads of this sink's own. It
says no more than whether a service took the message, and in its log it shows addresses: that log is not ours.
"""

from __future__ import annotations

import collections
import functools
import logging
from typing import TYPE_CHECKING, Any

import attrs

from monitor.api import DeliveryError, Manner, Message, OptionError, Sink, check_option
from monitor.sinks.formats.words import Mood, cut, news

if TYPE_CHECKING:
    import trio

_THREADS = 4  # as many as tries may be under way
_REMEMBERED = 1000  # messages that one service has and another has not
_LONGEST_TITLE = 200
_KINDS = {Mood.BAD: "failure", Mood.WARNING: "warning", Mood.GOOD: "success", Mood.NOTICE: "info"}
_THEIR_LOGS = ("apprise", "urllib3")


def _urls(values: tuple[str, ...]) -> None:
    """URLs that Apprise knows. None is ever shown: each holds what it signs in with."""
    if not values:
        raise ValueError("expected at least one URL")
    for index, each in enumerate(values):
        if _service(each) is None:
            raise OptionError(f"urls[{index}]", "expected a URL that Apprise knows, got another")


def _service(url: str) -> Any:
    """What *url* is to Apprise, None for nothing. ValueError where it is not installed."""
    try:
        import apprise  # noqa: PLC0415 - an extra
    except ImportError:
        raise ValueError('needs Apprise, which is not installed: pip install "nursery-monitor[apprise]"') from None
    for name in _THEIR_LOGS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return apprise.Apprise.instantiate(url, suppress_exceptions=True)


@attrs.frozen(kw_only=True, repr=False)
class Apprise(Sink):
    """Send each alert to services that Apprise knows."""

    urls: tuple[str, ...] = check_option(doc="Apprise's URLs of the services", validator=_urls)
    _had: collections.OrderedDict[str, frozenset[int]] = attrs.field(
        init=False, eq=False, factory=collections.OrderedDict
    )

    @property
    def manner(self) -> Manner:
        """As people want it."""
        return Manner(merges=True, per_minute=20)

    @functools.cached_property
    def _limiter(self) -> trio.CapacityLimiter:
        import trio  # noqa: PLC0415 - only who sends needs it

        return trio.CapacityLimiter(_THREADS)

    async def send(self, message: Message) -> str:
        """Deliver *message* to every service that has not got it yet."""
        import trio  # noqa: PLC0415

        told = news(message.documents)
        say = {
            "title": cut(told.title, _LONGEST_TITLE),
            "body": "\n".join(told.lines) or told.title,
            "notify_type": _KINDS[told.mood],
        }
        failed = []
        for index, url in enumerate(self.urls):
            if index in self._had.get(message.id, frozenset()):
                continue
            # A thread cannot be ended: past the deadline it goes on alone, and holds its place until Apprise gives up.
            problem = await trio.to_thread.run_sync(_tell, url, say, limiter=self._limiter, abandon_on_cancel=True)
            if problem is None:
                self._remember(message.id, index)
            else:
                failed.append(problem)
        if failed:
            raise DeliveryError(f"{len(failed)} of {len(self.urls)} did not take it: {failed[0]}")
        self._had.pop(message.id, None)
        return "delivered"

    def _remember(self, ident: str, index: int) -> None:
        """Keep who has it: after a restart some may get it twice."""
        self._had[ident] = self._had.get(ident, frozenset()) | {index}
        while len(self._had) > _REMEMBERED:
            self._had.popitem(last=False)


def _tell(url: str, say: dict[str, str]) -> str | None:
    """Say it to one service; None if that took it, else what failed."""
    from apprise import NotifyFormat  # noqa: PLC0415 - an extra

    service = _service(url)
    if service is None:
        return "Apprise no longer knows it"
    name = str(service.service_name)
    try:
        took = service.notify(**say, body_format=NotifyFormat.TEXT)
    except Exception as exc:  # noqa: BLE001 - a hundred services, and some raise; what they say may show the address
        return f"{name} ({type(exc).__name__})"
    return None if took else name

"""`webhook`: POST the alert, signed as Standard Webhooks asks (https://www.standardwebhooks.com).

The body is the frozen document, byte for byte, or what the chosen format makes of it and the options here, which is
the same at every try, too; only the timestamp and with it the signature differ from try to try. Whether and when to
try again is the outbox's business: here an answer is 2xx, or a DeliveryError with the status. No error
tells where the webhook goes: such a URL is often a password in itself.
"""

from __future__ import annotations

import base64
import math
import re
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from monitor.api import (
    TLS,
    DeliveryError,
    Manner,
    Message,
    OptionError,
    Sink,
    Template,
    certificates_file,
    check_option,
    describe,
    named_secrets,
)
from monitor.core.text import silent_about
from monitor.sinks import options
from monitor.sinks.formats import MANNERS, Format, alertmanager_api, as_json, ntfy, pagerduty, template

if TYPE_CHECKING:
    from datetime import datetime

    import httpx

_LONGEST_GOODBYE = 0.5  # seconds to read an answer whose status is known
_DELAY = re.compile(r"[0-9]{1,9}")


@attrs.frozen(kw_only=True, repr=False)
class Webhook(Sink):
    """POST each alert as JSON to a URL, signed where there is a secret."""

    url: str | None = check_option(
        default=None, doc="where to POST to, http or https; only pagerduty has a default", validator=options.webhook_url
    )
    secret: str | list[str] = check_option(
        default="", doc="signing secret, whsec_<base64>; a list while rotating", validator=options.secrets, secret=True
    )
    format: Format = check_option(default="standard", doc="what the document looks like")
    routing_key: str = check_option(
        default="", doc="for pagerduty: the integration key", validator=options.secret_line, secret=True
    )
    template: Template | None = check_option(default=None, doc="for template: Jinja2", validator=template.check)
    content_type: str = check_option(
        default="application/json", doc="for template: what it makes", validator=options.content_type
    )
    headers: dict[str, str] = check_option(
        factory=dict, doc="headers to add", validator=options.headers, secret=named_secrets
    )
    verify: bool = check_option(default=True, doc="verify the server's certificate")
    ca_file: Path | None = check_option(default=None, doc="trusted authorities, PEM", validator=certificates_file)

    def __attrs_post_init__(self) -> None:
        """Hold each format to what it needs, and to what only it can use."""
        if self.url is None and self.format != "pagerduty":
            raise OptionError("url", "is missing")
        if self.format == "ntfy":
            _topic(self._url)
        needs = {"pagerduty": "routing_key", "template": "template"}
        for form, option in needs.items():
            given = bool(getattr(self, option))
            if self.format == form and not given:
                raise OptionError(option, f'is missing, and format = "{form}" needs it')
            if self.format != form and given:
                raise OptionError(option, f'is for format = "{form}" only')
        if self.format != "template" and self.content_type != "application/json":
            raise OptionError("content_type", 'is for format = "template" only')

    @property
    def manner(self) -> Manner:
        """The format's."""
        return MANNERS[self.format]

    async def send(self, message: Message) -> str:
        """Deliver *message*: a 2xx is delivered, whatever happens to the rest of the answer."""
        import httpx  # noqa: PLC0415 - only who sends needs it

        url, body = await self._rendered(message)
        transport = message.transport(tls=TLS(verify=self.verify, ca_file=self.ca_file))
        try:
            where = httpx.URL(url)
            request = httpx.Request("POST", where, headers=self._headers(message, where, body), content=body)
            # The transport itself: a client would follow, remember and log the URL.
            answer = await transport.handle_async_request(request)
        except httpx.TransportError as exc:
            raise DeliveryError(silent_about(self._url, describe(exc))) from exc
        except httpx.InvalidURL:
            raise DeliveryError("the URL cannot be used") from None
        await _say_goodbye(answer)
        if not answer.is_success:
            retry_after = _retry_after(answer.headers.get("retry-after", ""), message.now)
            raise DeliveryError(f"HTTP {answer.status_code}", status=answer.status_code, retry_after=retry_after)
        return f"HTTP {answer.status_code}"

    async def _rendered(self, message: Message) -> tuple[str, bytes]:
        """Where to post to, and what."""
        url, topic = self._url, ""
        match self.format:
            case "standard":
                return url, message.body
            case "template":
                assert self.template is not None  # noqa: S101 - seen to when the config was read
                return url, await template.render(self.template, message.document, sink=message.sink)
            case "alertmanager-api":
                url = alertmanager_api.place(url)
            case "ntfy":
                url, topic = ntfy.place(url)
        body = as_json(self.format, message.documents, receiver=message.sink, routing_key=self.routing_key, topic=topic)
        return url, body

    @property
    def _url(self) -> str:
        return self.url or pagerduty.URL

    def _headers(self, message: Message, url: httpx.URL, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = {"User-Agent": _user_agent(), "Accept-Encoding": "identity"}
        if url.userinfo:
            credentials = f"{url.username}:{url.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode("ascii")
        own = {name.lower() for name in self.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in own} | self.headers
        headers |= {
            "Content-Type": self.content_type,
            "webhook-id": message.id,
            "webhook-timestamp": str(math.floor(message.now.timestamp())),
        }
        if self._secrets:
            headers["webhook-signature"] = " ".join(_signature(secret, message, body) for secret in self._secrets)
        return [(name.encode("ascii"), value.encode("utf-8")) for name, value in headers.items()]

    @property
    def _secrets(self) -> list[str]:
        given = [self.secret] if isinstance(self.secret, str) else self.secret
        return [secret for secret in given if secret]


def _topic(url: str) -> None:
    try:
        ntfy.place(url)
    except ValueError as exc:
        raise OptionError("url", str(exc)) from exc


async def _say_goodbye(answer: httpx.Response) -> None:
    """Read what is left of the answer, so that the receiver is not cut off while it writes; then close.

    Shielded, because the status is known: neither a deadline nor a shutdown may undo a delivery that was made.
    """
    import httpx  # noqa: PLC0415
    import trio  # noqa: PLC0415

    with trio.move_on_after(_LONGEST_GOODBYE, shield=True):
        try:
            async for _ in answer.aiter_raw():
                pass  # bounded by the transport
        except httpx.TransportError:
            pass
        finally:
            await answer.aclose()


def _signature(secret: str, message: Message, body: bytes) -> str:
    from standardwebhooks import Webhook as Signer  # noqa: PLC0415 - only who sends needs it

    # The library relabels whatever time it is given as UTC, and wants the body as text: both are handed over
    # in the one shape in which that loses nothing.
    return Signer(secret).sign(msg_id=message.id, timestamp=message.now.astimezone(UTC), data=body.decode("utf-8"))


@cache
def _user_agent() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only who sends needs it

    return f"nursery-monitor/{version('nursery-monitor')}"


def _retry_after(value: str, now: datetime) -> float | None:
    """What `Retry-After` asks for, in seconds from *now*: a number or a date (RFC 9110, 10.2.3)."""
    value = value.strip()
    if _DELAY.fullmatch(value):
        return float(value)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed

    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())

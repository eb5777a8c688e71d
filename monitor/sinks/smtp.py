"""`smtp`: each alert as an e-mail, by the standard library's client in a thread.

Theory of operation. A server that drips can hold a thread for as long as it likes, since the library's timeout is for
each piece; so the socket is shut down from outside when the deadline passes, which ends the thread. A mail is delivered
once the server has taken its data; nothing after that (QUIT) can undo it. Threads are this sink's own: one whose name
does not resolve takes none from another.

Whom the server takes counts for each by itself: those it refuses for good are logged, and do not hold back the rest;
for those it puts off, the mail is tried again, for them alone as long as we remember who has it.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import smtplib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from monitor.api import (
    TLS,
    DeliveryError,
    Manner,
    Message,
    OptionError,
    Sink,
    certificates_file,
    check_option,
    describe,
    is_host,
    seconds_text,
    shown,
)
from monitor.core.text import printable
from monitor.sinks import options
from monitor.sinks.formats import mail

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    import trio

log = logging.getLogger(__name__)

_PIECE = 10.0  # seconds for each answer: the engine's deadline for all of it comes first
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_THREADS = 4  # as many as tries may be under way
_REMEMBERED = 1000  # mails that somebody has and somebody has not
_LONGEST_REPLY = 200


def _host(value: str) -> None:
    if not is_host(value):
        raise ValueError(f'expected a host such as "mail.example.org", got {shown(value)}')


def _port(value: int) -> None:
    if not 1 <= value <= 65535:
        raise ValueError(f"expected 1-65535, got {value}")


def _address(value: str) -> None:
    mail.address(value)


def _recipients(values: tuple[str, ...]) -> None:
    if not values:
        raise ValueError("expected at least one address")
    for index, each in enumerate(values):
        try:
            mail.address(each)
        except ValueError as exc:
            raise OptionError(f"to[{index}]", str(exc)) from exc


@attrs.frozen(kw_only=True, repr=False)
class Smtp(Sink):
    """Send each alert as an e-mail."""

    host: str = check_option(doc="the mail server", validator=_host)
    port: int | None = check_option(
        default=None, doc="its port; default 587 for starttls, 465 for tls, 25 for none", validator=_port
    )
    tls: Literal["starttls", "tls", "none"] = check_option(default="starttls", doc="how the connection is secured")
    username: str = check_option(default="", doc="to sign in with; empty: without", validator=options.secret_line)
    password: str = check_option(default="", doc="to sign in with", validator=options.secret_line, secret=True)
    from_: str = check_option(doc="the address it comes from", validator=_address)
    to: tuple[str, ...] = check_option(doc="the addresses it goes to", validator=_recipients)
    verify: bool = check_option(default=True, doc="verify the server's certificate")
    ca_file: Path | None = check_option(default=None, doc="trusted authorities, PEM", validator=certificates_file)
    _had: collections.OrderedDict[str, frozenset[str]] = attrs.field(
        init=False, eq=False, factory=collections.OrderedDict
    )

    def __attrs_post_init__(self) -> None:
        """Hold together what belongs together."""
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise OptionError(missing, "is missing: username and password go together")
        if self.username and self.tls == "none":
            raise OptionError("tls", 'a password is not sent in clear: expected "starttls" or "tls"')

    @property
    def manner(self) -> Manner:
        """As people want it."""
        return Manner(merges=True, per_minute=20)

    @functools.cached_property
    def _limiter(self) -> trio.CapacityLimiter:
        import trio  # noqa: PLC0415 - only who sends needs it

        return trio.CapacityLimiter(_THREADS)

    async def send(self, message: Message) -> str:
        """Deliver *message* to everybody who has not got it yet."""
        import trio  # noqa: PLC0415

        recipients = [mail.address(each) for each in self.to]
        content = mail.render(
            message.documents, ident=message.id, sender=mail.address(self.from_), recipients=recipients
        )
        had = self._had.get(message.id, frozenset())
        missing = [each.addr_spec for each in recipients if each.addr_spec not in had]
        session = _Session(self, content, missing or [each.addr_spec for each in recipients])
        try:
            await trio.to_thread.run_sync(session.run, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            session.cut()
        return self._outcome(message.id, session, had)

    def _outcome(self, ident: str, session: _Session, had: frozenset[str]) -> str:
        """What the server's answers come to; DeliveryError for all but a mail that is through."""
        if session.error is not None:
            raise session.error
        refused = [reply for reply in session.refused.values() if reply.for_good]
        put_off = [reply for reply in session.refused.values() if not reply.for_good]
        if put_off:
            self._remember(ident, had | session.took)
            raise DeliveryError(f"{_counted(put_off, session)} put off: {put_off[0]}")
        self._had.pop(ident, None)
        if refused and not session.took and not had:
            raise DeliveryError(f"{_counted(refused, session)} refused: {refused[0]}", status=422)
        for reply in refused:
            log.warning("a mail was delivered, but not to everybody: %s", printable(str(reply)))
        return session.said

    def _remember(self, ident: str, had: frozenset[str]) -> None:
        """Keep who has it: after a restart some may get it twice, with the same Message-ID."""
        self._had[ident] = had
        while len(self._had) > _REMEMBERED:
            self._had.popitem(last=False)


def _counted(replies: Sequence[_Reply], session: _Session) -> str:
    everybody = len(replies) == len(session.refused) and not session.took
    return "the recipients were" if everybody else f"{len(replies)} of the recipients were"


@attrs.frozen
class _Reply:
    """What a server said."""

    code: int
    text: bytes

    @property
    def for_good(self) -> bool:
        return 500 <= self.code < 600

    def __str__(self) -> str:
        words = " ".join(self.text.decode("utf-8", "replace").split())[:_LONGEST_REPLY]
        return f"{self.code} {words}".strip()


class _Client(smtplib.SMTP):
    """The library's, which tells of its connection as soon as there is one."""

    session: _Session

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in its stub
        self.session.reached(connection)
        return connection


class _TlsClient(smtplib.SMTP_SSL, _Client):
    """The same with TLS from the beginning, which is spoken on what `_Client` gives."""


class _Session:
    """One conversation with the server, in a thread."""

    def __init__(self, sink: Smtp, content: bytes, recipients: Sequence[str]) -> None:
        self.took: frozenset[str] = frozenset()
        self.refused: dict[str, _Reply] = {}
        self.error: DeliveryError | None = None
        self.said = ""
        self._sink = sink
        self._content = content
        self._recipients = recipients
        self._connection: socket.socket | None = None
        self._is_cut = False

    def cut(self) -> None:
        """End it, from another thread: whatever the conversation waits for comes to an end."""
        self._is_cut = True
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(2)  # both ways

    def reached(self, connection: socket.socket) -> None:
        """The server is there. Of *connection* a handle is kept, which stays good while TLS takes it over."""
        self._connection = connection.dup()
        if self._is_cut:
            self.cut()

    def run(self) -> None:
        """Hold it; what came of it is in `took`, `refused` and `error`."""
        sink = self._sink
        client = self._client()
        try:
            self._expect(220, client.connect(sink.host, sink.port or _PORTS[sink.tls]))
            if sink.tls == "starttls":
                client.starttls(context=_context(sink))
            if sink.username:
                client.login(sink.username, sink.password)
            self._hand_over(client)
        except (OSError, smtplib.SMTPException, ValueError) as exc:
            self.error = _error(exc)
        finally:
            client.close()
            if self._connection is not None:
                self._connection.close()

    def _client(self) -> smtplib.SMTP:
        sink = self._sink
        hello = mail.address(sink.from_).domain  # else the library looks its own name up, for how long nobody knows
        client: _Client
        if sink.tls == "tls":
            client = _TlsClient(local_hostname=hello, timeout=_PIECE, context=_context(sink))
        else:
            client = _Client(local_hostname=hello, timeout=_PIECE)
        client.session = self
        # The name that TLS asks for; else only the constructor sets it, and connects.
        client._host = sink.host  # type: ignore[attr-defined]  # noqa: SLF001
        return client

    def _hand_over(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        self._expect(250, client.mail(mail.address(self._sink.from_).addr_spec))
        for each in self._recipients:
            code, text = client.rcpt(each)
            if code not in (250, 251):
                self.refused[each] = _Reply(code, text)
        if len(self.refused) == len(self._recipients):
            return
        code, text = client.data(self._content)
        self._expect(250, (code, text))
        self.took = frozenset(self._recipients) - self.refused.keys()
        self.said = str(_Reply(code, text))
        with contextlib.suppress(OSError, smtplib.SMTPException):
            client.putcmd("quit")  # out of courtesy; nobody waits for the answer

    def _expect(self, wanted: int, answer: tuple[int, bytes]) -> None:
        if answer[0] != wanted:
            raise smtplib.SMTPResponseException(*answer)


def _context(sink: Smtp) -> ssl.SSLContext:
    from monitor.net.tls import make_context  # noqa: PLC0415 - only who sends needs it

    return make_context(TLS(verify=sink.verify, ca_file=sink.ca_file))


def _error(exc: Exception) -> DeliveryError:
    """What *exc* means for the outbox; the status is the one of HTTP that means the same."""
    status = None
    match exc:
        case smtplib.SMTPAuthenticationError():
            text, status = f"the server does not let us in: {_reply(exc)}", 401
        case smtplib.SMTPNotSupportedError():
            text, status = f"the server cannot do what is asked for: {describe(exc)}", 401
        case smtplib.SMTPResponseException():
            text, status = f"the server says {_reply(exc)}", 422 if 500 <= exc.smtp_code < 600 else None
        case smtplib.SMTPServerDisconnected():
            text = "the server hung up"
        case ssl.SSLCertVerificationError():
            text = f"the server's certificate is not trusted: {exc.verify_message}"
        case TimeoutError():
            text = f"no answer within {seconds_text(_PIECE)}"
        case OSError():
            text = (exc.strerror or describe(exc)).lower()  # without its number
        case _:
            text = describe(exc)
    return DeliveryError(text, status=status)


def _reply(exc: smtplib.SMTPResponseException) -> str:
    text = exc.smtp_error
    return str(_Reply(exc.smtp_code, text if isinstance(text, bytes) else str(text).encode()))

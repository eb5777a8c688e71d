"""A mail server on loopback: takes mail as RFC 5321 says, unless its script says otherwise."""

from __future__ import annotations

import contextlib
import email
import email.policy
from typing import TYPE_CHECKING, Any

import attrs
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from email.message import EmailMessage


@attrs.define
class MailServer:
    """*answers* by the first word of a command (`RCPT b@example.org` for one recipient) go before the usual ones.

    An answer `hang up` closes, `drip` sends a byte now and then for ever, `mute` says nothing.
    """

    port: int
    tls: ssl.SSLContext | None = None
    starttls: bool = False
    login: str | None = None  # what AUTH PLAIN must carry, decoded
    answers: dict[str, str] = attrs.field(factory=dict)
    mails: list[tuple[str, list[str], EmailMessage]] = attrs.field(factory=list)
    commands: list[str] = attrs.field(factory=list)
    connections: int = 0
    open: int = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.open += 1
        try:
            await _Conversation(self, stream).hold()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1


class HangUpError(Exception):
    """We close."""


class _Conversation:
    def __init__(self, server: MailServer, stream: Any) -> None:
        self._server = server
        self._stream = stream
        self._buffer = b""
        self._secure = server.tls is not None and not server.starttls
        self._sender = ""
        self._recipients: list[str] = []

    async def hold(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            try:
                await self._answer("CONNECT", "220 mail.test at your service")
                while (line := await self._line()) is not None:
                    self._server.commands.append(line)
                    await self._take(line)
            except HangUpError:
                return

    async def _close(self) -> None:
        with trio.move_on_after(0.1):
            await trio.aclose_forcefully(self._stream)

    async def _take(self, line: str) -> None:
        word = line.split(maxsplit=1)[0].upper() if line.split() else ""
        match word:
            case "EHLO":
                offers = ["250-mail.test", "250-AUTH PLAIN"]
                offers += ["250-STARTTLS"] if self._server.starttls and not self._secure else []
                await self._answer(word, "\r\n".join([*offers, "250 8BITMIME"]))
            case "STARTTLS":
                await self._answer(word, "220 go ahead")
                await self._upgrade()
            case "AUTH":
                import base64

                right = self._secure and base64.b64decode(line.split()[2]).decode() == self._server.login
                await self._answer(word, "235 welcome" if right else "535 5.7.8 no such user or password")
            case "MAIL":
                self._sender, self._recipients = line.partition("<")[2].partition(">")[0], []
                await self._answer(word, "250 ok")
            case "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                if (await self._answer(f"RCPT {address}", "250 ok")).startswith("250"):
                    self._recipients.append(address)
            case "DATA":
                if (await self._answer(word, "354 go on")).startswith("354"):
                    await self._data()
            case "QUIT":
                await self._answer(word, "221 bye")
                raise HangUpError
            case _:
                await self._answer(word, "250 ok")

    async def _data(self) -> None:
        lines = []
        while (line := await self._line()) not in (None, "."):
            assert line is not None
            lines.append(line.removeprefix(".") if line.startswith("..") else line)
        said = await self._answer("END", "250 2.0.0 queued as 7")
        if said.startswith("250"):
            text = "\r\n".join(lines).encode("utf-8", "surrogateescape")
            mail = email.message_from_bytes(text, policy=email.policy.default)
            self._server.mails.append((self._sender, self._recipients, mail))  # type: ignore[arg-type]

    async def _upgrade(self) -> None:
        assert self._server.tls is not None
        self._stream = trio.SSLStream(self._stream, self._server.tls, server_side=True, https_compatible=True)
        await self._stream.do_handshake()
        self._secure, self._buffer = True, b""

    async def _answer(self, command: str, usual: str) -> str:
        said = self._server.answers.get(command, usual)
        match said:
            case "hang up":
                raise HangUpError
            case "mute":
                await trio.sleep_forever()
            case "drip":
                while True:
                    await self._stream.send_all(b"2")
                    await trio.sleep(0.05)
            case _:
                await self._stream.send_all(said.encode() + b"\r\n")
        return said

    async def _line(self) -> str | None:
        while b"\r\n" not in self._buffer:
            more = await self._stream.receive_some()
            if not more:
                return None
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8", "surrogateescape")


@contextlib.asynccontextmanager
async def mail_server(**options: Any) -> AsyncIterator[MailServer]:
    """Serve on a free port of 127.0.0.1 for as long as the block."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = MailServer(listener.socket.getsockname()[1], **options)
    implicit = server.tls is not None and not server.starttls
    listeners: list[Any] = [trio.SSLListener(listener, server.tls, https_compatible=True) if implicit else listener]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()

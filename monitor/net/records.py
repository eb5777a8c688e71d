"""TLS on buffers in memory: OpenSSL seals and opens, the socket is read and written in whole flights.

Python's `SSLSocket` reads a record in two system calls and a handshake in a dozen; here one brings all that has come,
and the end of the handshake leaves together with the request.
"""

from __future__ import annotations

import socket
import ssl

CHUNK = 65536
# The C class alone: Python's own on top of it costs a tenth of a probe.
Connection = socket.SocketType


class Records:
    """One TLS connection as a client, on a socket that does not block."""

    __slots__ = ("_connection", "_incoming", "_is_partly_read", "_outgoing", "session")

    def __init__(self, connection: Connection, context: ssl.SSLContext, host: str) -> None:
        """Begin without a handshake; *host* is whom the certificate must name. Raises ValueError for a bad name."""
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._is_partly_read = False  # a record, perhaps: OpenSSL gave as much as was asked for
        self.session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host.encode("ascii"))

    @property
    def owes(self) -> bool:
        """Is there something to be sent?"""
        return self._outgoing.pending > 0

    def owed(self) -> bytes:
        """What is to be sent, once."""
        return self._outgoing.read()

    @property
    def holds_some(self) -> bool:
        """Has something come that was not read yet, or perhaps only in part?"""
        return self._is_partly_read or self._incoming.pending > 0

    def feed(self) -> None:
        """Take in what the socket has. Raises BlockingIOError where that is nothing, and OSError."""
        data = self._connection.recv(CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def shake(self) -> bool:
        """Go on with the handshake as far as what was fed allows; is it done? Raises OSError or ValueError as `ssl`."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def shake_on(self) -> bool:
        """The same with what the socket has."""
        try:
            self.feed()
        except BlockingIOError:
            return False  # it was nothing
        return self.shake()

    def sealed(self, data: bytes | bytearray | memoryview) -> bytes:
        """*data* as records to be sent, after what was owed. Raises OSError."""
        sealed, size = 0, len(data)
        while sealed < size:
            sealed += self.session.write(memoryview(data)[sealed:] if sealed else data)
        return self._outgoing.read()

    def opened(self, most: int) -> bytes:
        """At most *most* bytes of what has come; b"" at the end. Raises BlockingIOError, SSLWantReadError, OSError.

        The socket is looked at once, whatever comes of it: who sends records without end, and nothing in them, must
        not keep the loop.
        """
        if self.holds_some:
            try:
                return self._read(most)
            except ssl.SSLWantReadError:
                pass  # half a record
        self.feed()
        return self._read(most)

    def _read(self, most: int) -> bytes:
        self._is_partly_read = False
        data = self.session.read(most)
        self._is_partly_read = len(data) == most
        return data

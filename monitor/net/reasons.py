"""From what the operating system, OpenSSL and the resolver raise to a reason: a code and a sentence.

Own trouble, such as no free descriptor, is `internal` and so never makes an endpoint `down`.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from monitor.core.errors import ProbeError, describe
from monitor.core.model import Code, Reason

_OWN_TROUBLE = {
    errno.EMFILE: "the monitor has no free file descriptor",
    errno.ENFILE: "the machine has no free file descriptor",
    errno.ENOMEM: "the machine has no free memory",
    errno.ENOBUFS: "the machine has no free network buffer",
    errno.EADDRNOTAVAIL: "the machine has no free local port",
    errno.ENOSPC: "the machine lets no more sockets be watched (fs.epoll.max_user_watches)",
}
# Only when `connect` itself says so, at once: then it is our own routing or firewall that refuses.
_OWN_ROUTE = {
    errno.ENETUNREACH: "the monitor's own machine has no route there",
    errno.ENETDOWN: "the monitor's own network is down",
    errno.EPERM: "the monitor's own machine does not allow the connection",
    errno.EACCES: "the monitor's own machine does not allow the connection",
    errno.EAFNOSUPPORT: "the monitor's own machine does not support the address family",
}
_PEER = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset by the server",
    errno.EPIPE: "connection closed by the server",
    errno.ETIMEDOUT: "no answer to the connection attempt",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
}
_RESOLVER = {
    socket.EAI_NONAME: "no such host",
    socket.EAI_AGAIN: "the name server did not answer or failed for now",
    socket.EAI_FAIL: "the name server refused to answer or failed",
}
if hasattr(socket, "EAI_NODATA"):
    _RESOLVER[socket.EAI_NODATA] = "the name has no address"
if hasattr(socket, "EAI_ADDRFAMILY"):
    _RESOLVER[socket.EAI_ADDRFAMILY] = "the name has no address of a family that this machine uses"

_CERTIFICATE = {
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "certificate is self-signed",
    19: "certificate chain ends in an unknown self-signed certificate",
    20: "certificate is from an unknown issuer",
    21: "certificate is from an unknown issuer",
    62: "certificate is for another host name",
    64: "certificate is for another address",
}
CERTIFICATE_EXPIRED = 10


def probe_error(code: Code, message: str, phase: str | None) -> ProbeError:
    """Build a ProbeError."""
    return ProbeError(Reason(code, phase, message))


def own_trouble(exc: OSError) -> ProbeError | None:
    """Translate *exc* if it is the monitor's own trouble."""
    message = _OWN_TROUBLE.get(exc.errno or 0)
    return None if message is None else probe_error(Code.INTERNAL, message, None)


def from_connect(number: int, where: str, *, at_once: bool) -> ProbeError:
    """Translate errno *number* of a `connect` to *where*; *at_once*: the call itself failed."""
    if message := _OWN_TROUBLE.get(number) or (_OWN_ROUTE.get(number) if at_once else None):
        return probe_error(Code.INTERNAL, message, "connect")
    return probe_error(Code.CONNECT, f"{_PEER.get(number) or os.strerror(number)} ({where})", "connect")


def from_lookup(exc: OSError | UnicodeError, host: str) -> ProbeError:
    """Translate what `getaddrinfo` raised for *host*."""
    if isinstance(exc, socket.gaierror):
        if exc.errno == socket.EAI_MEMORY:
            return probe_error(Code.INTERNAL, "the machine has no free memory", "resolve")
        text = _RESOLVER.get(exc.errno or 0) or exc.strerror or "look-up failed"
        return probe_error(Code.DNS, f"{text}: {host}", "resolve")
    if isinstance(exc, OSError):
        return own_trouble(exc) or probe_error(Code.DNS, f"look-up failed: {describe(exc)}", "resolve")
    return probe_error(Code.DNS, f"not a valid host name: {host}", "resolve")


def from_datagrams(exc: OSError, where: str, *, at_once: bool, phase: str | None = None) -> ProbeError:
    """Translate what a socket for datagrams to *where* raised; *at_once*: before anything was sent."""
    if trouble := own_trouble(exc):
        return trouble
    if at_once and (message := _OWN_ROUTE.get(exc.errno or 0)):
        return probe_error(Code.INTERNAL, f"{message} ({where})", phase)
    return probe_error(Code.CONNECT, f"{_PEER.get(exc.errno or 0) or describe(exc)} ({where})", phase)


def from_stream(exc: OSError, phase: str | None) -> ProbeError:
    """Translate what a send or a receive on an open connection raised."""
    if trouble := own_trouble(exc):
        return trouble
    if isinstance(exc, ssl.SSLError):
        return from_tls(exc, "", phase)
    text = _PEER.get(exc.errno or 0) or exc.strerror or describe(exc)
    return probe_error(Code.CONNECT, text, phase)


def from_tls(exc: OSError | ValueError, host: str, phase: str | None = "tls") -> ProbeError:
    """Translate what a TLS handshake with *host*, or the TLS layer later, raised."""
    match exc:
        case ssl.SSLCertVerificationError():
            text = _CERTIFICATE.get(exc.verify_code, f"certificate refused: {exc.verify_message}")
            return probe_error(Code.TLS, f"{text} ({host})", phase)
        case _ if cut_off(exc) or isinstance(exc, ssl.SSLZeroReturnError):
            return probe_error(Code.TLS, "the server closed the connection during the handshake", phase)
        case ssl.SSLError():
            return probe_error(Code.TLS, f"TLS failed: {_openssl_text(exc)}", phase)
        case OSError():
            text = _PEER.get(exc.errno or 0) or describe(exc)
            return own_trouble(exc) or probe_error(Code.TLS, f"{text} during the handshake", phase)
        case _:
            return probe_error(Code.TLS, f"TLS cannot begin: {describe(exc)}", phase)


def cut_off(exc: Exception) -> bool:
    """Did the connection end without the goodbye of TLS? Python before 3.11.4 has no class of its own for that."""
    if isinstance(exc, ssl.SSLEOFError):
        return True
    return isinstance(exc, ssl.SSLError) and exc.reason == "UNEXPECTED_EOF_WHILE_READING"


def _openssl_text(exc: ssl.SSLError) -> str:
    """`[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)` without its brackets."""
    reason = exc.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}:
        return "the server does not speak TLS on this port"
    if reason in {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"}:
        return "no common protocol version"
    if reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
        return "the server wants a client certificate"
    _, is_alert, alert = reason.partition("_ALERT_")
    if is_alert and ("CERTIFICATE" in alert or alert == "UNKNOWN_CA"):  # sent by the server, so about ours
        return f"the server refused the client certificate: {alert.replace('_', ' ').lower()}"
    return reason.replace("_", " ").lower() or describe(exc)


def reason_of(exc: BaseException | None) -> Reason | None:
    """The reason a network error carries, itself or as one of its causes; None for anything else."""
    while exc is not None:
        if isinstance(exc, ProbeError):
            return exc.reason
        exc = exc.__cause__
    return None

"""TLS: one SSLContext per distinct setting, made once and off the loop; what a certificate says as facts."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio

from monitor.core.errors import ProbeError, describe
from monitor.core.model import Code
from monitor.net.driven import by_trio
from monitor.net.identity import load_identity
from monitor.net.reasons import probe_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.net import TLS, Trace

_MINIMUM = {None: ssl.TLSVersion.TLSv1_2, "1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_VERSIONS = {"TLSv1": "1.0", "TLSv1.1": "1.1", "TLSv1.2": "1.2", "TLSv1.3": "1.3"}

_Key = tuple[bool, "Path | None", "Path | None", "Path | None", str | None, tuple[str, ...]]


class Contexts:
    """Every SSLContext in use."""

    def __init__(self) -> None:
        """Begin without any: loading the trusted authorities takes 30 ms."""
        self._made: dict[_Key, ssl.SSLContext | ProbeError] = {}
        self._making: dict[_Key, trio.Event] = {}
        self._limiter = trio.CapacityLimiter(1)

    async def get(self, tls: TLS) -> ssl.SSLContext:
        """The context for *tls*. Raises ProbeError (`internal`) when one of its files cannot be used."""
        key = (tls.verify, tls.ca_file, tls.client_cert, tls.client_key, tls.min_tls, tls.alpn)
        made = self._made.get(key)
        if made is None:
            made = await by_trio(self._once_made, key, tls)
        if isinstance(made, ProbeError):
            self._made.pop(key, None)  # the file may be back at the next probe
            raise made
        return made

    async def _once_made(self, key: _Key, tls: TLS) -> ssl.SSLContext | ProbeError:
        while (made := self._made.get(key)) is None:
            if (event := self._making.get(key)) is not None:
                await event.wait()
            else:
                await self._make(key, tls)
        return made

    async def _make(self, key: _Key, tls: TLS) -> None:
        event = self._making[key] = trio.Event()
        try:
            self._made[key] = await trio.to_thread.run_sync(make_context, tls, limiter=self._limiter)
        except OSError as exc:
            self._made[key] = probe_error(Code.INTERNAL, describe(exc), None)
        finally:
            del self._making[key]
            event.set()


def make_context(tls: TLS) -> ssl.SSLContext:
    """Make a client context. Blocks; raises OSError for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=None if tls.ca_file is None else str(tls.ca_file))
    except OSError as exc:
        raise OSError(f"cannot use ca_file {tls.ca_file}: {describe(exc)}") from exc
    if tls.ca_file is None and not context.get_ca_certs() and not any(_default_paths()):
        import certifi  # noqa: PLC0415 - only where the machine brings no authorities of its own

        context.load_verify_locations(certifi.where())
    if tls.client_cert is not None:
        load_identity(context, tls.client_cert, tls.client_key)
    context.minimum_version = _MINIMUM[tls.min_tls]
    if tls.alpn:
        context.set_alpn_protocols(tls.alpn)
    # Python before 3.11.4 has OpenSSL take a connection that was cut for one that ended properly.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _default_paths() -> tuple[str | None, str | None]:
    paths = ssl.get_default_verify_paths()
    return paths.cafile, paths.capath


class Handshake:
    """See `monitor.net.Secured`; looks when it is asked, as few ask."""

    def __init__(self, connection: ssl.SSLObject) -> None:
        """Tell of *connection*, whose handshake is done."""
        self._connection = connection

    @property
    def cipher(self) -> str:
        """OpenSSL's name of the cipher suite."""
        cipher = self._connection.cipher()
        return "" if cipher is None else cipher[0]

    @property
    def alpn(self) -> str | None:
        """The application protocol that was agreed on."""
        return self._connection.selected_alpn_protocol()

    @property
    def chain(self) -> Sequence[bytes]:
        """The certificates that the server sent, DER, its own first."""
        # Public from Python 3.13 on, and there since 3.10.
        connection: Any = getattr(self._connection, "_sslobj", self._connection)
        chain = connection.get_unverified_chain() or ()
        return [each if isinstance(each, bytes) else each.public_bytes(_DER) for each in chain]


_DER = 2  # _ssl.ENCODING_DER


def note_certificate(connection: ssl.SSLObject, trace: Trace) -> None:
    """Note as facts what the handshake agreed on and what the server's certificate says."""
    trace.secured = Handshake(connection)
    version = connection.version() or ""
    trace.facts["tls_version"] = _VERSIONS.get(version, version)
    der = connection.getpeercert(True)
    if der is None:
        return
    # Reading a certificate costs a tenth of a probe, and a server shows the same one for months.
    said = _read.get(der)
    if said is None:
        if len(_read) >= _MOST_READ:
            _read.clear()
        said = _read[der] = _verified(connection.getpeercert()) or _unverified(der)
    expires, issuer = said
    if expires is not None:
        note_expiry(expires, trace)
        trace.facts["cert_issuer"] = issuer


def note_expiry(expires: datetime, trace: Trace) -> None:
    """Note that a certificate *expires* then; of several the first to do so counts."""
    trace.facts["cert_expires_in"] = expires - trace.started_at
    if trace.certificate_expires is None or expires < trace.certificate_expires:
        trace.certificate_expires = expires


_read: dict[bytes, tuple[datetime | None, str]] = {}  # what certificates say, by their bytes
_MOST_READ = 4096


def _verified(certificate: dict[str, Any] | None) -> tuple[datetime, str] | None:
    """Expiry and issuer of a certificate that Python has parsed, which it does only for a verified one."""
    if not certificate:
        return None
    names = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    return expires, names.get("commonName") or names.get("organizationName") or ""


def _unverified(der: bytes) -> tuple[datetime | None, str]:
    """Expiry and issuer of any certificate; (None, "") for one that makes no sense."""
    from cryptography import x509  # noqa: PLC0415 - a big library, for those who turn verification off
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.issuer.get_attributes_for_oid(
            NameOID.COMMON_NAME
        ) or certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return certificate.not_valid_after_utc, str(names[0].value) if names else ""
    except ValueError:
        return None, ""

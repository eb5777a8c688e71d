"""What certificates say, for the check `tls`: of any that a server sends, trusted or not.

A big library reads them: to be imported by who probes, inside a function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


@attrs.frozen(kw_only=True)
class Said:
    """What one certificate says."""

    subject: str
    issuer: str
    names: Sequence[str]
    serial: str  # hexadecimal
    begins: datetime
    expires: datetime
    key: str  # `RSA 2048`, `EC secp256r1`, `Ed25519`
    signature: str  # `sha256`, empty where the algorithm has it built in
    fingerprint: str  # SHA-256, hexadecimal


def said_by(der: bytes) -> Said | None:
    """What the certificate *der* says; None for one that cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        hashed = certificate.signature_hash_algorithm
        return Said(
            subject=_called(certificate.subject),
            issuer=_called(certificate.issuer),
            names=_names(certificate),
            serial=f"{certificate.serial_number:x}",
            begins=certificate.not_valid_before_utc,
            expires=certificate.not_valid_after_utc,
            key=_key(certificate),
            signature="" if hashed is None else hashed.name,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None


def _called(name: x509.Name) -> str:
    """The common name, or what else there is."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(kind):
            return str(found[0].value)
    return name.rfc4514_string()


def _names(certificate: x509.Certificate) -> list[str]:
    """Whom it is for: names and addresses."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []
    return [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


def _key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case _:
            return type(key).__name__.removeprefix("_").removesuffix("PublicKey")

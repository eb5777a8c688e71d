"""The certificate that we show a server: tried when a config is read, loaded when a context is made.

Apart from the rest of TLS because `validate` comes here, which must not pay for Trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.errors import describe

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


def load_identity(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Have *context* show *certificate*; without *key* its key is in the same file.

    Blocks; raises OSError, one sentence, where the two do not fit or want a passphrase.
    """
    import ssl  # noqa: PLC0415 - dear, and not for everybody

    def passphrase() -> str:
        raise OSError(f"expected a key without a passphrase in {key or certificate}")

    try:
        context.load_cert_chain(certificate, key, passphrase)  # without it OpenSSL would ask on the terminal
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise OSError(f"the key in {key or certificate} is not that of the certificate in {certificate}") from exc
        raise OSError(f"expected a certificate in {certificate} and its key in {key or certificate}, as PEM") from exc
    except FileNotFoundError as exc:  # of which Python does not say which
        missing = certificate if key is None or not certificate.exists() else key
        raise OSError(f"cannot read {missing}: {exc.strerror}") from exc


def hold_identity(certificate: Path, key: Path | None) -> None:
    """Raise ValueError, one sentence, unless *certificate* can be shown with *key*. Blocks."""
    import ssl  # noqa: PLC0415 - as above

    try:
        load_identity(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)
    except OSError as exc:
        raise ValueError(describe(exc)) from exc

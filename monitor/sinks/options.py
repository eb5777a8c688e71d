"""What the webhook's options must look like. Each raises ValueError with one sentence.

Whatever is wrong, the value itself is never shown: a webhook's URL is often a password in itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from urllib.parse import urlsplit

from monitor.api import OptionError

SECRET_PREFIX = "whsec_"  # noqa: S105 - the marker, not a secret
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_HOST = re.compile(r"[^\s/?#@\\\x00-\x20\x7f]+")
_OURS = frozenset({"connection", "content-encoding", "content-length", "content-type", "transfer-encoding"})


def webhook_url(url: str) -> None:
    """An absolute http or https URL."""
    expected = 'expected a URL such as "https://hooks.example.org/…"'
    if not url:
        raise ValueError(f"{expected}, got an empty string")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError(f"{expected}, got one with a space or control character")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        problem = "a port that is no number in 1-65535" if "ort" in str(exc) else "a host that cannot be"
        # From nothing: what urllib says holds the value.
        raise ValueError(f"{expected}, got one with {problem}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{expected}, got one whose scheme is neither http nor https")
    if not host:
        raise ValueError(f"{expected}, got one without a host")
    if port == 0:
        raise ValueError(f"{expected}, got one with a port that is no number in 1-65535")
    if not _possible_host(host):
        raise ValueError(f"{expected}, got one with a host that cannot be")


def _possible_host(host: str) -> bool:
    if ":" in host:
        return True  # an IPv6 literal, checked by urlsplit
    if not _HOST.fullmatch(host) or len(host) > 253:
        return False
    if host.isascii():
        return all(0 < len(label) < 64 for label in host.rstrip(".").split("."))
    import idna  # noqa: PLC0415 - comes with httpx, and is needed for few names

    try:
        idna.encode(host, uts46=True)
    except idna.IDNAError:
        return False
    return True


def secrets(value: object) -> None:
    """One signing secret, or a list of them while they rotate."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            try:
                _secret(each)
            except ValueError as exc:
                raise OptionError(f"secret[{index}]", str(exc)) from exc
    else:
        _secret(value)


def _secret(value: object) -> None:
    expected = f'expected "{SECRET_PREFIX}" and base64 of 24-64 bytes'
    if not isinstance(value, str):
        raise ValueError(f"{expected}, got something else than a string")  # noqa: TRY004 - what a validator raises
    if not value:
        return  # none, as `${SECRET:-}` gives it
    encoded = value.removeprefix(SECRET_PREFIX)
    if encoded == value:
        raise ValueError(f"{expected}, got a string that begins otherwise")
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{expected}, got what is not base64") from None
    if base64.b64encode(key).decode("ascii") != encoded:
        raise ValueError(f"{expected}, got what is not strict base64")
    if not 24 <= len(key) <= 64:
        raise ValueError(f"{expected}, got {len(key)} bytes")


def headers(values: dict[str, str]) -> None:
    """Header names and values that fit on a line each, and are not the webhook's own."""
    for name, value in values.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError('expected header names such as "X-Team", got one with a character that cannot be')
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise ValueError(f"the header {name} is set by the webhook itself")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name}: expected one line of ASCII text")


def ca_file(path: Path) -> None:
    """A file of trusted authorities."""
    try:
        found = b"-----BEGIN CERTIFICATE-----" in Path(path).read_bytes()
    except OSError as exc:
        raise ValueError(f"cannot read {path}: {exc.strerror}") from exc
    if not found:
        raise ValueError(f"expected certificates in PEM, found none in {path}")


def available_format(name: str) -> None:
    """The one format there is so far."""
    if name != "standard":
        raise ValueError("not available yet")

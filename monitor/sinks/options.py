"""What the webhook's options must look like. Each raises ValueError with one sentence.

Neither the URL nor a secret is ever shown: a webhook's URL is often a password in itself.
"""

from __future__ import annotations

import base64
import binascii
import re

from monitor.api import OptionError, headers_without, shown, url_with

SECRET_PREFIX = "whsec_"  # noqa: S105 - the marker, not a secret

webhook_url = url_with("http", "https", example="https://hooks.example.org/…", secret=True)
headers = headers_without(
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
)


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


def secret_line(value: str) -> None:
    """One line, which is never shown."""
    if not value.isprintable() or value != value.strip():
        raise ValueError("expected one line without spaces around it, got something else")


def content_type(value: str) -> None:
    """What a template makes."""
    if not re.fullmatch(r"[-\w.+]+/[-\w.+]+(?:;[ -~]*)?", value, re.ASCII):
        raise ValueError(f'expected a type such as "text/plain; charset=utf-8", got {shown(value)}')

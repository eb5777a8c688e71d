"""Rules for options that many checks and sinks have: URLs, headers, files of certificates.

For `check_option(validator=…)`; plugins import them through `monitor.api`. A rule takes the value and raises
ValueError with one sentence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from monitor.core.quantities import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_NAME = re.compile(r"auth|cookie|credential|key|pass|secret|session|token", re.IGNORECASE)
_LINE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST = re.compile(r"[^\s/?#@\\\x00-\x20\x7f]+")
_BAD_PORT = "with a port out of range 1-65535"
_BAD_HOST = "with a host that cannot be"
_NO_BRACKETS = "with an IPv6 address that is not in brackets"
_LARGEST_FILE = 1024 * 1024  # bytes in which a certificate must begin


def url_with(*schemes: str, example: str | None = None, secret: bool = False) -> Callable[[str], None]:
    """Make a rule: an absolute URL with one of *schemes*, with a host that can be, and a port in range if any.

    *example* is shown in its messages. *secret* keeps the value out of them: some URLs are passwords in themselves.
    """
    expected = f'expected a URL such as "{example or f"{schemes[-1]}://example.org/"}"'

    def rule(url: str) -> None:
        if not url:
            raise ValueError(f"{expected}, got an empty string")
        if " " in url or not url.isprintable():
            raise ValueError(f"{expected}, got one with a space or control character")
        if problem := _problem_of(url, schemes):
            # From nothing: what urllib says holds the value.
            raise ValueError(f"{expected}, got {'one' if secret else shown(url)} {problem}") from None

    return rule


def _problem_of(url: str, schemes: Sequence[str]) -> str | None:
    """What is wrong with *url*, to be read after it; nothing of it is shown."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        if "ort" not in str(exc):
            return _BAD_HOST
        where = parts.netloc.rpartition("@")[2]
        return _NO_BRACKETS if where.count(":") > 1 and "[" not in where else _BAD_PORT
    if parts.scheme not in schemes:
        *others, last = schemes
        return f"whose scheme is {'neither ' + ', '.join(others) + ' nor' if others else 'not'} {last}"
    if not host:
        return "without a host"
    if port == 0:
        return _BAD_PORT
    # An IPv6 literal has been checked by urlsplit.
    return None if ":" in host or is_host(host) else _BAD_HOST


def is_host(name: str) -> bool:
    """Can *name* be a host's: an IPv4 address, or labels of 1-63 characters, 253 in all, that IDNA takes?"""
    if not _HOST.fullmatch(name) or len(name) > 253:
        return False
    if name.isascii():
        return all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))
    import idna  # noqa: PLC0415 - needed for few names

    try:
        idna.encode(name, uts46=True)
    except idna.IDNAError:
        return False
    return True


def is_token(text: str) -> bool:
    """Is *text* a token of HTTP (RFC 9110, 5.6.2), as a method, a header's name or a subprotocol must be?"""
    return _TOKEN.fullmatch(text) is not None


def named_secrets(values: Mapping[str, str]) -> Iterator[str]:
    """Those of *values* whose names say that they are secret, as of headers and environment variables."""
    for name, value in values.items():
        if _SECRET_NAME.search(name):
            yield value
            yield value.partition(" ")[2]  # without "Bearer"


def headers_without(*own: str) -> Callable[[Mapping[str, str]], None]:
    """Make a rule: headers by name, each on a line of its own; those of *own* (lower case) are not for the config."""

    def rule(values: Mapping[str, str]) -> None:
        for name, value in values.items():
            if not is_token(name):
                raise ValueError(f'expected a header name such as "Accept", got {shown(name)}')
            if name.lower() in own:
                raise ValueError(f"the header {name} is set by the monitor itself")
            try:
                one_line(value)
            except ValueError as exc:
                raise ValueError(f"{name}: {exc}") from exc

    return rule


def one_line(text: str) -> None:
    """A line of text, as a header's value must be."""
    if not _LINE.fullmatch(text):
        raise ValueError("expected one line of text, got a line break or control character")


def certificates_file(path: Path) -> None:
    """A file of certificates in PEM, looked at when the config is read."""
    try:
        with path.open("rb") as file:
            found = b"-----BEGIN CERTIFICATE-----" in file.read(_LARGEST_FILE)
    except OSError as exc:
        raise ValueError(f"cannot read {path}: {exc.strerror}") from exc
    if not found:
        raise ValueError(f"expected certificates in PEM, found none in {path}")

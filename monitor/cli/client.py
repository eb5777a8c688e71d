"""Talks to a running daemon: where it is, who we are to it, and what it answers, as values or as one sentence.

    client = Client.of(config_path, url)            # --url, else MONITOR_URL, else the address left in data_dir
    client.get("/api/v1/endpoints", "endpoints")    # what a reader may see, a document with that key
    client.post("/api/v1/silences", {"target": …})  # what an admin may do

It speaks plain HTTP by the standard library: a command that asks one question must not load trio or httpx.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
import click

from monitor.core.errors import MonitorError, describe

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar
    from urllib.parse import SplitResult

    from monitor.config import Access, Config

    F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE = 15.0  # seconds; for connecting, and for each piece of an answer
_LARGEST = 256 * 1024 * 1024


class NoDaemonError(MonitorError):
    """Nobody answers: no daemon runs there, as far as we can tell."""


class RefusedError(MonitorError):
    """The daemon's answer is no."""

    def __init__(self, status: int, detail: str) -> None:
        """Carry the HTTP *status*; *detail* is the daemon's own sentence."""
        super().__init__(detail)
        self.status = status


def daemon_url(command: F) -> F:
    """Add `--url URL`; the parameter `url` is what was given, or None."""
    return click.option(
        "--url", metavar="URL", help="The daemon's; default: MONITOR_URL, else the address it left in data_dir."
    )(command)


@attrs.frozen(kw_only=True)
class Client:
    """One daemon, and the tokens we have for it."""

    url: str
    read_token: str = attrs.field(default="", repr=False)
    admin_token: str = attrs.field(default="", repr=False)
    where: str = ""  # how we know the URL, for a person

    @classmethod
    def of(cls, path: Path, url: str | None, environ: Mapping[str, str] | None = None) -> Client:
        """The daemon at *url*, or at MONITOR_URL, or the one of the config *path*, whose tokens are used.

        With a URL there need be no config. Raises ConfigError, and NoDaemonError where no address was left.
        """
        environ = os.environ if environ is None else environ
        given = url or environ.get("MONITOR_URL") or None
        config = _config(path, environ, may_be_missing=given is not None)
        access = None if config is None else config.access
        if given is not None:
            _parts(given)
            return cls._with(access, given, "--url" if url else "MONITOR_URL")
        assert config is not None  # noqa: S101 - it may be missing only with a URL
        from monitor import address  # noqa: PLC0415

        try:
            left = address.left_in(config.data_dir)
        except OSError as exc:
            raise MonitorError(f"cannot read {config.data_dir / address.NAME}: {exc.strerror}") from exc
        if left is None:
            raise NoDaemonError(f"no daemon runs in {config.data_dir} (else say where it is with --url)")
        return cls._with(access, left, f"left in {config.data_dir}")

    @classmethod
    def _with(cls, access: Access | None, url: str, where: str) -> Client:
        if access is None:
            return cls(url=url, where=where)
        return cls(url=url, where=where, read_token=access.read_token, admin_token=access.admin_token)

    def get(self, path: str, key: str) -> Any:
        """What the daemon answers to a reader, with *key* in it. Raises NoDaemonError, RefusedError, MonitorError."""
        answer = self._ask("GET", path, None, self.read_token or self.admin_token)
        if not isinstance(answer, dict) or key not in answer:
            raise MonitorError(f"{self._shown} does not answer as a monitor does (no {key})")
        return answer

    def post(self, path: str, body: object = None) -> Any:
        """Have something changed, as an admin; None where there is nothing to say about it. Raises as `get` does."""
        return self._change("POST", path, body)

    def delete(self, path: str) -> Any:
        """Have something ended, as an admin. Raises as `get` does."""
        return self._change("DELETE", path, None)

    def _change(self, method: str, path: str, body: object) -> Any:
        if not self.admin_token:
            raise MonitorError("only an admin may change things: set admin_token in [monitor.access] of the config")
        return self._ask(method, path, body, self.admin_token)

    def _ask(self, method: str, path: str, body: object, token: str) -> Any:
        import http.client  # noqa: PLC0415 - `--help` must not pay for it

        parts = _parts(self.url)
        headers = {"Accept": "application/json", "Connection": "close"}
        if token:
            headers["Authorization"] = b"Bearer " + token.encode()  # type: ignore[assignment]  # latin-1 is too narrow
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        connection = _connection(parts)
        try:
            connection.request(method, parts.path.rstrip("/") + path, content, headers)
            answer = connection.getresponse()
            return self._read(answer.status, answer.read(_LARGEST))
        except ConnectionRefusedError as exc:
            raise NoDaemonError(f"no daemon answers at {self._shown}") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NoDaemonError(f"no answer from {self._shown}: {describe(exc)}") from exc
        finally:
            connection.close()

    def _read(self, status: int, content: bytes) -> Any:
        try:
            value = json.loads(content) if content else None
        except ValueError:
            raise MonitorError(f"{self._shown} does not answer as a monitor does (HTTP {status}, no JSON)") from None
        if status < 300:
            return value
        detail = value.get("detail") if isinstance(value, dict) else None
        if not isinstance(detail, str):
            raise MonitorError(f"{self._shown} does not answer as a monitor does (HTTP {status})")
        raise RefusedError(status, detail)

    @property
    def _shown(self) -> str:
        return f"{self.url} ({self.where})" if self.where else self.url


def _config(path: Path, environ: Mapping[str, str], *, may_be_missing: bool) -> Config | None:
    if may_be_missing and not path.exists():
        return None
    from monitor.config.load import load  # noqa: PLC0415

    return load(path, environ=environ)


def _parts(url: str) -> SplitResult:
    """Take *url* apart. Raises MonitorError, and never shows what may be a password."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or "@" in parts.netloc or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise MonitorError('expected the URL of a daemon such as "http://127.0.0.1:8080", without user or query')
    return parts


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    import http.client  # noqa: PLC0415

    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, parts.port, timeout=_PATIENCE)
    return http.client.HTTPConnection(host, parts.port, timeout=_PATIENCE)

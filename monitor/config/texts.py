"""Strings of a config: `${NAME}`, `${NAME:-default}`, `$$`, and `{ file = "…" }` in place of one.

What was inserted is not read again, and it is remembered, so that it is masked wherever people see it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote

from monitor.config.sights import Sights
from monitor.core.quantities import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from monitor.config.secrets import Masker

_INSERTION = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"(?<=://)([^/?#:@\s]*):([^/?#\s]*)@")  # a URL's; urllib, too, ends it at the last @
_LARGEST_FILE = 1024 * 1024


class Texts:
    """Reads strings; relative paths are relative to *directory*."""

    def __init__(
        self, environ: Mapping[str, str], masker: Masker, directory: Path, sights: Sights | None = None
    ) -> None:
        """Insert from *environ*; tell *masker* what was inserted, and *sights* which files were read."""
        self._environ = environ
        self._masker = masker
        self._sights = sights or Sights()
        self.directory = directory

    def read(self, value: object) -> str:
        """The string that *value*, as TOML has it, means. Raises ValueError that never shows what was inserted."""
        if type(value) is dict and "file" in value:
            text = self._file(value)
        elif type(value) is not str:
            raise ValueError(f"expected a string, got {shown(value)}")
        else:
            text = _INSERTION.sub(self._insert, value) if "$" in value else value
        if "@" in text:
            remember_passwords(text, self._masker)
        return text

    def template(self, value: object) -> str:
        """The same for a text that is no secret where it comes from a file: what is *in* it may be shown."""
        return self._content(value) if type(value) is dict and "file" in value else self.read(value)

    def remember(self, secrets: Iterable[str]) -> None:
        """Have *secrets* masked, which stand in the config in clear."""
        for each in secrets:
            self._masker.remember(each)

    def _insert(self, match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, separator, default = match[1].partition(":-")
        if not match[2] or not _NAME.fullmatch(name):
            raise ValueError('expected "${NAME}" or "${NAME:-default}"; write "$${" for a literal "${"')
        value = self._environ.get(name, "")
        if not value and separator:
            value = default
        elif name not in self._environ:
            raise ValueError(f"the environment variable {name} is not set")
        if any("\ud800" <= each <= "\udfff" for each in value):
            raise ValueError(f"the environment variable {name} is not valid UTF-8")
        self._masker.remember(value)
        return value

    def _file(self, table: dict[str, object]) -> str:
        text = self._content(table).removesuffix("\n").removesuffix("\r")
        self._masker.remember(text)
        return text

    def _content(self, table: dict[str, object]) -> str:
        if len(table) > 1:
            raise ValueError('expected { file = "…" } with nothing beside it')
        name = self.read(table["file"])
        path = self.path(name)
        self._sights.look(path)
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST_FILE + 1)
        except OSError as exc:
            raise ValueError(f"cannot read the file {shown(name)}: {exc.strerror}") from exc
        if len(content) > _LARGEST_FILE:
            raise ValueError(f"the file {shown(name)} is larger than 1 MiB")
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"the file {shown(name)} is not valid UTF-8") from None

    def path(self, text: str) -> Path:
        """The file *text* names."""
        if not text or "\0" in text:
            raise ValueError(f"expected a path, got {'one with NUL' if text else 'an empty string'}")
        return self.directory / text


def remember_passwords(text: str, masker: Masker) -> None:
    """Have the passwords of URLs in *text* masked, as they stand there and as a server gets them."""
    for match in _PASSWORD.finditer(text):
        masker.remember(match[2])
        masker.remember(unquote(match[2]))
        # A short one is too little in base64 to be found there by itself.
        masker.remember(b64encode(unquote(f"{match[1]}:{match[2]}").encode("utf-8", "surrogatepass")).decode())


def without_password(text: str) -> str:
    """*text* with the password of every URL in it as `***`."""
    return _PASSWORD.sub(r"\1:***@", text)

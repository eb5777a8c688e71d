"""`file`: is a file there, how old is it, how large, what stands in it.

It is looked at in a thread that is left behind where the file system does not answer. Only regular files are opened,
and never so that opening could wait: a pipe or a device may never give a byte, or give bytes for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

import attrs

from checks.documents import parsed
from checks.options import file_path, file_url
from monitor.api import (
    ByteSize,
    Check,
    Code,
    Fact,
    Metric,
    OptionError,
    Probe,
    ProbeError,
    Reason,
    Verdict,
    check_option,
)

_PHASE = "reading"
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@attrs.frozen
class _Seen:
    """What was seen of a file."""

    size: int
    modified: float  # Unix seconds
    content: bytes | None


@attrs.frozen(kw_only=True)
class File(Check):
    """Look at a file; up when it is there, or whatever `expect` says of its age, size and content."""

    schemes: ClassVar[tuple[str, ...]] = ("file",)
    own_task: ClassVar[bool] = False
    facts: ClassVar[Mapping[str, Fact] | None] = {
        "exists": Fact(sample=True, doc="whether it is there"),
        "age": Fact(
            timedelta(hours=3),
            "since it was written last",
            metrics=(Metric("probe_file_age_seconds", "Time since the file was written last."),),
        ),
        "size": Fact(
            1024, "its size in bytes", metrics=(Metric("probe_file_size_bytes", "Size of the file in bytes."),)
        ),
        "text": Fact("done\n", "its content as text", keep=False),
        "json": Fact(None, "its content as JSON", keep=False),
    }

    path: Path | None = check_option(
        default=None, doc="the file; a relative path begins where the config stands", validator=file_path
    )
    url: str | None = check_option(default=None, doc="the same as file:///var/backups/latest", validator=file_url)
    limit: ByteSize = check_option(default=ByteSize(1024**2), doc="largest file whose content is looked at")

    def __attrs_post_init__(self) -> None:
        if (self.path is None) == (self.url is None):
            raise OptionError("path", "expected exactly one of path and url")

    @property
    def target(self) -> str:
        """The path."""
        return str(self._where)

    @property
    def _where(self) -> Path:
        return self.path or Path(unquote(urlsplit(self.url or "").path))

    async def probe(self, probe: Probe) -> Verdict:
        """Look, and read it where an expression wants its content."""
        probe.phase(_PHASE)
        wanted = probe.mentions("text") or probe.mentions("json")
        seen = await probe.in_thread(_look, self._where, self.limit if wanted else None)
        probe.facts["exists"] = seen is not None
        if seen is None:
            if probe.expects("exists"):
                return Verdict.up()
            return Verdict.down(f"there is no file {self._where}", phase=_PHASE)
        probe.facts["age"] = probe.now() - datetime.fromtimestamp(seen.modified, UTC)
        probe.facts["size"] = seen.size
        if seen.content is not None:
            if probe.mentions("text"):
                probe.facts["text"] = seen.content.decode("utf-8", "replace")
            if probe.mentions("json"):
                probe.facts["json"] = parsed(seen.content, _PHASE)
        return Verdict.up()


def _look(path: Path, limit: int | None) -> _Seen | None:
    """Look at *path*, and read it where there is a *limit* in bytes; None: there is none. Blocks; raises ProbeError."""
    try:
        found = path.stat()
        _hold_regular(found, path)
        if limit is None:
            return _Seen(found.st_size, found.st_mtime, None)
        return _read(path, limit)
    except OSError as exc:
        if exc.errno in _ABSENT:
            return None
        text = f"the monitor cannot look at {path}: {exc.strerror}"
        raise ProbeError(Reason(Code.INTERNAL, _PHASE, text)) from exc


def _read(path: Path, limit: int) -> _Seen:
    descriptor = os.open(path, _FLAGS)
    try:
        found = os.fstat(descriptor)
        _hold_regular(found, path)  # it may be another by now
        content = b""
        # Not by its size: a file may grow meanwhile, and those of /proc have none.
        while len(content) <= limit and (piece := os.read(descriptor, min(limit + 1 - len(content), 65536))):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ProbeError(Reason(Code.LIMIT, _PHASE, f"the file is larger than {ByteSize(limit)}: {path}"))
    return _Seen(found.st_size, found.st_mtime, content)


def _hold_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise ProbeError(Reason(Code.PROTOCOL, _PHASE, f"expected a regular file, got {kind}: {path}"))

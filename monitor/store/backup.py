"""The copy that is made before a migration: the way back to the version of the monitor that ran before.

It is whole or it is not there: written under another name, flushed to the disk, then renamed. Two are kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEEP = 2
_NAME = re.compile(r"monitor-schema-(\d+)\.db")


def name(version: int) -> str:
    """What the copy of a database of schema *version* is called."""
    return f"monitor-schema-{version}.db"


def make(db: sqlite3.Connection, data_dir: Path, version: int) -> None:
    """Copy *db*, of schema *version*, into *data_dir*, and remove all but the last copies.

    One of the same version is replaced. OSError and sqlite3.Error pass; nothing is left behind then.
    """
    part = data_dir / f"{name(version)}.part"
    copy(db, part)
    part.rename(data_dir / name(version))
    _flush(data_dir)
    for old in _copies(data_dir)[:-KEEP]:
        old.unlink()


def copy(db: sqlite3.Connection, path: Path) -> None:
    """Copy *db* to *path*, which nobody else may read, and onto the disk; nothing is left where that fails."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA journal_mode = OFF")  # what is interrupted is made anew: no journal beside it
            db.backup(other)
        _flush(path)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _copies(data_dir: Path) -> list[Path]:
    """The copies that are there, those of older schemas first."""
    numbered = ((_NAME.fullmatch(each.name), each) for each in data_dir.iterdir())
    return [each for _, each in sorted((int(found[1]), each) for found, each in numbered if found)]


def _flush(path: Path) -> None:
    """See to it that *path*, a file or a directory, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

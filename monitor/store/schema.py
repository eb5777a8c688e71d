"""The tables, as numbered migrations: a database is brought from its schema to ours one step at a time.

Times are integer milliseconds since the epoch, UTC. Whatever has structure and is only ever read whole (health,
observations, reasons) is JSON. A migration that has been released is never changed: what comes later is a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.errors import StoreError
from monitor.store.database import transaction

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID = 0x6E6D6F6E  # "nmon": marks the file as ours

_FIRST = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    # One row for every endpoint ever watched: how it stands now.
    """
    CREATE TABLE endpoints (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        health TEXT NOT NULL,
        since INTEGER,
        sequence INTEGER NOT NULL,
        last TEXT,
        watched INTEGER NOT NULL,
        described TEXT
    )
    """,
    """
    CREATE TABLE incidents (
        id TEXT NOT NULL PRIMARY KEY,
        endpoint TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        reason TEXT,
        owed TEXT NOT NULL,
        resolved_at INTEGER
    )
    """,
    "CREATE UNIQUE INDEX incidents_open ON incidents (endpoint) WHERE resolved_at IS NULL",
    "CREATE INDEX incidents_past ON incidents (resolved_at) WHERE resolved_at IS NOT NULL",
    # AUTOINCREMENT: readers page by id, so an id is never given twice, not even after the last row was removed.
    """
    CREATE TABLE transitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        endpoint TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT,
        at INTEGER NOT NULL,
        reason TEXT,
        incident TEXT,
        outcome TEXT NOT NULL
    )
    """,
    "CREATE INDEX transitions_of ON transitions (endpoint, id)",
    "CREATE INDEX transitions_at ON transitions (at)",
    """
    CREATE TABLE alerts (
        id TEXT NOT NULL PRIMARY KEY,
        type TEXT NOT NULL,
        endpoint TEXT,
        created_at INTEGER NOT NULL,
        body BLOB NOT NULL
    )
    """,
    # The outbox. A lane is a sink and an endpoint ('' for none); the first pending row of a lane, by id, is its
    # head, and only heads are tried. The flag is kept up by the writer, so that finding what is due reads only
    # what is due, however much waits behind a sink that is gone and however much was delivered before.
    """
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        alert TEXT NOT NULL REFERENCES alerts (id),
        sink TEXT NOT NULL,
        endpoint TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
        head INTEGER NOT NULL CHECK (head = 0 OR state = 'pending'),
        attempts INTEGER NOT NULL DEFAULT 0,
        first_try_at INTEGER,
        not_before INTEGER NOT NULL,
        digest TEXT,
        last_error TEXT,
        settled_at INTEGER CHECK ((settled_at IS NULL) = (state = 'pending'))
    )
    """,
    "CREATE UNIQUE INDEX deliveries_of ON deliveries (alert, sink)",
    "CREATE UNIQUE INDEX deliveries_head ON deliveries (sink, endpoint) WHERE head = 1",
    "CREATE INDEX deliveries_due ON deliveries (sink, not_before, id) WHERE head = 1",
    "CREATE INDEX deliveries_lane ON deliveries (sink, endpoint, id) WHERE state = 'pending'",
    "CREATE INDEX deliveries_past ON deliveries (state, settled_at) WHERE settled_at IS NOT NULL",
    # Millions of rows: it names its endpoint by number, and its one index grows at its end only.
    """
    CREATE TABLE history (
        id INTEGER PRIMARY KEY,
        endpoint INTEGER NOT NULL REFERENCES endpoints (id),
        started_at INTEGER NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        duration REAL NOT NULL,
        phases TEXT NOT NULL
    )
    """,
    "CREATE INDEX history_at ON history (started_at)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)


def check(db: sqlite3.Connection, path: object) -> int:
    """The schema of the database at *path*, 0 for an empty one; StoreError for one that is not for us.

    Only reads: what we cannot use stays as it is.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version or application):
        raise StoreError(f"{path} is a database of another program")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer version of the monitor "
            f"(its schema is {version}, this version knows {len(MIGRATIONS)})"
        )
    return int(version)


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring a database of schema *version* to ours; each step is one transaction."""
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        with transaction(db):
            for statement in statements:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")

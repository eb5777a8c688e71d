"""The tables, as numbered migrations: a database is brought from its schema to ours one step at a time.

Times are integer milliseconds since the epoch, UTC. Whatever has structure and is only ever read whole (health,
observations, reasons) is JSON. A migration that has been released is never changed: what comes later is a new one.
JSON that an older version could not read wants a migration too, if an empty one: what cannot be read is taken for
damage. A copy of the database is made before the first of them changes anything (`backup`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from monitor.core.errors import DamagedError, StoreError
from monitor.store.database import transaction

APPLICATION_ID = 0x6E6D6F6E  # "nmon": marks the file as ours
_OURS = {"endpoints", "transitions", "deliveries"}  # tables that have been there from the first
_ABSURD = 1000  # no schema has such a number

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

# What is kept of no endpoint: JSON, by a name.
_NOTES = ("CREATE TABLE notes (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",)

# What goes out together is found by the name of its message.
_DIGESTS = ("CREATE INDEX deliveries_digest ON deliveries (digest, sink) WHERE digest IS NOT NULL",)

# What each sink heard last takes the place of the list of sinks an incident was told to. The table is made anew,
# because SQLite before 3.35 cannot drop a column.
_WORDS = (
    "ALTER TABLE endpoints ADD COLUMN alerting TEXT",
    """
    UPDATE endpoints SET alerting = (
        SELECT json_object(
            'before', coalesce(t.before, 'up'), 'first', coalesce(t.before, 'up'), 'reason', json(t.reason),
            'unsaid', json(CASE i.owed WHEN '[]' THEN 'true' ELSE 'false' END),
            'words', json((
                SELECT json_group_object(sink.value, json_object(
                    'incident', i.id, 'started_at', i.started_at, 'reason', json(i.reason),
                    'level', 'down', 'told_at', coalesce(t.at, i.started_at)
                ))
                FROM json_each(i.owed) sink
            ))
        )
        FROM incidents i
        LEFT JOIN transitions t ON t.id = (SELECT max(id) FROM transitions WHERE incident = i.id)
        WHERE i.endpoint = endpoints.name AND i.resolved_at IS NULL
    )
    """,
    """
    CREATE TABLE incidents_2 (
        id TEXT NOT NULL PRIMARY KEY,
        endpoint TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        reason TEXT,
        resolved_at INTEGER
    )
    """,
    "INSERT INTO incidents_2 SELECT id, endpoint, started_at, reason, resolved_at FROM incidents ORDER BY rowid",
    "DROP TABLE incidents",
    "ALTER TABLE incidents_2 RENAME TO incidents",
    "CREATE UNIQUE INDEX incidents_open ON incidents (endpoint) WHERE resolved_at IS NULL",
    "CREATE INDEX incidents_past ON incidents (resolved_at) WHERE resolved_at IS NOT NULL",
)

# When an endpoint was watched, down, not to be seen (`unknown`) and in maintenance: what uptime is computed of. An
# open span has no end. `runs` are the times in which the monitor itself ran. What was kept before is taken over.
_SPANS = (
    """
    CREATE TABLE spans (
        endpoint INTEGER NOT NULL REFERENCES endpoints (id),
        kind TEXT NOT NULL CHECK (kind IN ('watched', 'down', 'unknown', 'maintenance')),
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        PRIMARY KEY (endpoint, kind, started_at)
    ) WITHOUT ROWID
    """,
    "CREATE UNIQUE INDEX spans_open ON spans (endpoint, kind) WHERE ended_at IS NULL",
    "CREATE INDEX spans_past ON spans (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE TABLE runs (started_at INTEGER PRIMARY KEY, ended_at INTEGER NOT NULL)",
    "INSERT INTO runs SELECT min(started_at), max(started_at) FROM history HAVING count(*)",
    """
    INSERT INTO spans SELECT id, 'watched', (SELECT min(started_at) FROM runs), NULL FROM endpoints
    WHERE watched AND EXISTS (SELECT 1 FROM runs)
    """,
    """
    INSERT OR IGNORE INTO spans SELECT e.id, 'down', i.started_at, i.resolved_at
    FROM incidents i JOIN endpoints e ON e.name = i.endpoint
    """,
)

# Results of minutes, hours and days. `latency` is a `core.histogram`, `phases` JSON. Minutes are read all at once
# and soon removed, so they stand in order of time; of hours and days those of one endpoint are read together.
_COUNTS = """
    up INTEGER NOT NULL, degraded INTEGER NOT NULL, down INTEGER NOT NULL, unknown INTEGER NOT NULL,
    latency BLOB NOT NULL, phases TEXT NOT NULL
"""
_ROLLUPS = (
    f"""
    CREATE TABLE minutes (
        at INTEGER NOT NULL, endpoint INTEGER NOT NULL, {_COUNTS}, PRIMARY KEY (at, endpoint)
    ) WITHOUT ROWID
    """,
    f"""
    CREATE TABLE hours (
        endpoint INTEGER NOT NULL, at INTEGER NOT NULL, {_COUNTS}, PRIMARY KEY (endpoint, at)
    ) WITHOUT ROWID
    """,
    f"""
    CREATE TABLE days (
        endpoint INTEGER NOT NULL, at INTEGER NOT NULL, {_COUNTS}, PRIMARY KEY (endpoint, at)
    ) WITHOUT ROWID
    """,
    # Up to where each of them is made; for `history`, the id of the last result that was looked at.
    "CREATE TABLE progress (of TEXT NOT NULL PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID",
)

# Readers page by a number that is never given twice, as of transitions; and it is known who knows.
_NUMBERS = (
    """
    CREATE TABLE incidents_3 (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        endpoint TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        reason TEXT,
        resolved_at INTEGER,
        acknowledged TEXT
    )
    """,
    """
    INSERT INTO incidents_3 (id, endpoint, started_at, reason, resolved_at)
    SELECT id, endpoint, started_at, reason, resolved_at FROM incidents ORDER BY rowid
    """,
    "DROP TABLE incidents",
    "ALTER TABLE incidents_3 RENAME TO incidents",
    "CREATE UNIQUE INDEX incidents_open ON incidents (endpoint) WHERE resolved_at IS NULL",
    "CREATE INDEX incidents_past ON incidents (resolved_at) WHERE resolved_at IS NOT NULL",
    "CREATE INDEX incidents_of ON incidents (endpoint, number)",
)
# Whether something later of its lane was delivered is what makes a dead delivery obsolete.
_DELIVERED = ("CREATE INDEX deliveries_delivered ON deliveries (sink, endpoint, id) WHERE state = 'delivered'",)

# What one migration does: statements, or a function of the connection where statements do not suffice.
Step = str | Callable[[sqlite3.Connection], object]


def _add_failed(db: sqlite3.Connection) -> None:
    """What the last probe that failed saw. It may be there: a flipped bit can make our number that of before."""
    if "failed" not in {row[1] for row in db.execute("PRAGMA table_info(endpoints)")}:
        db.execute("ALTER TABLE endpoints ADD COLUMN failed TEXT")


# A new one goes to the end. It may count on all before it, and must not import what may change later.
MIGRATIONS: tuple[tuple[Step, ...], ...] = (
    _FIRST,
    _NOTES,
    _DIGESTS,
    _WORDS,
    _SPANS,
    _ROLLUPS,
    _NUMBERS,
    _DELIVERED,
    (_add_failed,),
)  # fmt: skip


def check(db: sqlite3.Connection, path: object, migrations: Sequence[Sequence[Step]] = MIGRATIONS) -> int:
    """The schema of the database at *path*, 0 for an empty one; StoreError for one that is not for us.

    Only reads: what we cannot use stays as it is.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    tables = {table for table, _ in columns(db)}
    if application != APPLICATION_ID and (tables or version or application):
        if tables >= _OURS:
            raise DamagedError(f"{path} is damaged: it does not say that it is ours, but it has our tables")
        raise StoreError(f"{path} is a database of another program")
    if (version == 0) != (not tables) or not 0 <= version < _ABSURD:
        raise DamagedError(f"{path} is damaged: it says that its schema is {version}")
    if version > len(migrations):
        raise StoreError(
            f"{path} was written by a newer version of the monitor "
            f"(its schema is {version}, this version knows {len(migrations)})"
        )
    return int(version)


def migrate(db: sqlite3.Connection, version: int, migrations: Sequence[Sequence[Step]] = MIGRATIONS) -> None:
    """Bring a database of schema *version* to ours; each migration is one transaction, its number included."""
    for number, steps in enumerate(migrations[version:], version + 1):
        with transaction(db):
            for step in steps:
                if callable(step):
                    step(db)
                else:
                    db.execute(step)
            db.execute(f"PRAGMA user_version = {number}")


def columns(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every table of the database with each of its columns."""
    statement = "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
    return set(db.execute(statement))

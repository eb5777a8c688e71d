"""What is asked all the time must not cost more the more is kept.

Cost is counted in the steps of SQLite's machine, which are the same on every computer: a scan shows at once.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.entries import NOW, came_back, looked_at, went_down

from monitor.store import readers, retention, writer
from monitor.store.files import DataFiles

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

FEW, MANY = 20, 5_000


def filled(data_dir: Path, outages: int) -> DataFiles:
    """A database in which *outages* each left two alerts for `dead`, still pending, and two for `log`, delivered.

    Half of them are of one endpoint, so that its lane is long; the others have a lane each. Of the first few
    nothing is pending, so that their alerts may go.
    """
    files = DataFiles.open(data_dir, now=NOW)
    db = files.db
    db.execute("BEGIN")
    for number in range(outages):
        name = "flapping" if number % 2 else f"endpoint-{number}"
        down = went_down(name, f"a-{number}", sinks=("dead", "log") if number > 3 else ("log",))
        back = came_back(down, f"b-{number}")
        for entry in (down, back):
            writer.write_entry(db, writer.EntryRows.of(entry))
        for (ident,) in db.execute("SELECT id FROM deliveries WHERE sink = 'log' AND state = 'pending'").fetchall():
            writer.finish(db, ident, state="delivered", attempts=1, at=NOW)
    db.execute("COMMIT")
    return files


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DataFiles, DataFiles]]:
    both = filled(tmp_path_factory.mktemp("few"), FEW), filled(tmp_path_factory.mktemp("many"), MANY)
    yield both
    for files in both:
        files.close()


def steps(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], object]) -> int:
    """How many steps *work* takes; what it writes is undone."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    db.execute("BEGIN")
    db.set_progress_handler(step, 1)
    try:
        work(db)
    finally:
        db.set_progress_handler(None, 0)
        db.execute("ROLLBACK")
    return count


def head_of_the_long_lane(db: sqlite3.Connection) -> int:
    (head,) = db.execute(
        "SELECT min(id) FROM deliveries WHERE sink = 'dead' AND endpoint = 'flapping' AND state = 'pending'"
    ).fetchone()
    return head


def settled(db: sqlite3.Connection, ident: int) -> None:
    writer.finish(db, ident, state="delivered", attempts=1, at=NOW)


WORK: dict[str, Callable[[sqlite3.Connection], object]] = {
    "due": partial(readers.due, now=NOW + timedelta(days=1), room={"dead": 4, "log": 4}, busy=()),
    "next due": partial(readers.next_due, sinks=["dead", "log"], busy=()),
    "waiting sinks": readers.waiting_sinks,
    "transitions, a page": partial(readers.transitions, endpoints=None, after=10, limit=5),
    "transitions of one": partial(readers.transitions, endpoints=["endpoint-0"], after=None, limit=5),
    "transitions of some": partial(readers.transitions, endpoints=["flapping", "endpoint-0"], after=2, limit=5),
    "transitions, the latest": partial(readers.latest, endpoint="flapping", limit=5),
    "results, the latest": partial(readers.results, after=0, before=2**63, limit=5),
    "prune, nothing old": partial(retention.prune, now=NOW),
    "prune, a little": partial(retention.prune, now=NOW + timedelta(days=500), chunk=5),
    "an observation": lambda db: writer.write_entry(db, writer.EntryRows.of(looked_at("flapping"))),
    "an outage": lambda db: writer.write_entry(
        db, writer.EntryRows.of(went_down("flapping", "new", sinks=("dead", "log")))
    ),
}


@pytest.mark.parametrize("name", WORK)
def test_it_costs_the_same_however_much_is_kept(databases: tuple[DataFiles, DataFiles], name: str) -> None:
    few, many = (steps(files.db, WORK[name]) for files in databases)
    assert 0 < many <= few + 20


def test_to_settle_one_of_a_long_lane_costs_the_same(databases: tuple[DataFiles, DataFiles]) -> None:
    few, many = (steps(files.db, partial(settled, ident=head_of_the_long_lane(files.db))) for files in databases)
    assert 0 < many <= few + 20

"""A database of an older schema is copied, then brought to ours: whatever happens meanwhile, it is old or new."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.entries import NOW

from monitor.core.errors import StoreError
from monitor.store import backup
from monitor.store.files import DataFiles
from monitor.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from monitor.store.schema import Step

OURS = len(MIGRATIONS)


def rename_all(db: sqlite3.Connection) -> None:
    db.execute("UPDATE endpoints SET name = 'new-' || name")


# Two that a later version might bring.
NEXT: tuple[tuple[Step, ...], ...] = (
    ("ALTER TABLE endpoints ADD COLUMN colour TEXT", rename_all),
    ("CREATE TABLE colours (name TEXT)", "INSERT INTO colours SELECT name FROM endpoints"),
)


def opened(data_dir: Path, migrations: Sequence[Sequence[Step]] = MIGRATIONS) -> DataFiles:
    return DataFiles.open(data_dir, now=NOW, migrations=migrations)


def with_endpoints(data_dir: Path, count: int) -> None:
    """A database of our schema with *count* endpoints."""
    files = opened(data_dir)
    files.db.execute("BEGIN")
    for number in range(count):
        files.db.execute(
            "INSERT INTO endpoints (name, health, sequence, watched) VALUES (?, ?, 0, 1)",
            (f"e-{number}", '{"state":"up","counted_at":null,"unknowns":0,' + ",".join(
                f'"{name}":null'
                for name in ("as_bad_as_degraded", "as_bad_as_down", "as_good_as_degraded", "as_good_as_up")
            ) + "}"),
        )  # fmt: skip
    files.db.execute("COMMIT")
    files.close()


def names(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    found = [name for (name,) in db.execute("SELECT name FROM endpoints ORDER BY id")]
    db.close()
    return found


def version_of(path: Path) -> int:
    db = sqlite3.connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return version


def test_an_older_database_is_copied_and_brought_to_ours(tmp_path: Path) -> None:
    with_endpoints(tmp_path, 3)
    opened(tmp_path, MIGRATIONS + NEXT).close()

    assert version_of(tmp_path / "monitor.db") == OURS + 2
    assert names(tmp_path / "monitor.db") == ["new-e-0", "new-e-1", "new-e-2"]
    copy = tmp_path / f"monitor-schema-{OURS}.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert (version_of(copy), names(copy)) == (OURS, ["e-0", "e-1", "e-2"])


def test_a_new_database_and_one_of_our_schema_are_not_copied(tmp_path: Path) -> None:
    opened(tmp_path).close()
    opened(tmp_path).close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["monitor.db", "monitor.lock"]


def test_the_way_back_is_the_copy_in_the_place_of_the_database(tmp_path: Path) -> None:
    """As docs/operations.md says."""
    with_endpoints(tmp_path, 3)
    opened(tmp_path, MIGRATIONS + NEXT).close()
    with pytest.raises(StoreError, match="newer version"):
        opened(tmp_path)

    (tmp_path / "monitor.db").rename(tmp_path / "monitor-newer.db")
    (tmp_path / f"monitor-schema-{OURS}.db").rename(tmp_path / "monitor.db")
    opened(tmp_path).close()
    assert names(tmp_path / "monitor.db") == ["e-0", "e-1", "e-2"]


def test_the_last_two_copies_are_kept(tmp_path: Path) -> None:
    with_endpoints(tmp_path, 1)
    more = MIGRATIONS
    for number in range(4):
        more = (*more, (f"CREATE TABLE later_{number} (name TEXT)",))
        opened(tmp_path, more).close()
    copies = {each.name for each in tmp_path.glob("monitor-schema-*")}
    assert copies == {f"monitor-schema-{OURS + number}.db" for number in (2, 3)}


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with_endpoints(tmp_path, 2)
    broken = ("UPDATE endpoints SET name = 'changed-' || name", "SELECT nonsense")
    with pytest.raises(StoreError, match="no such column: nonsense"):
        opened(tmp_path, (*MIGRATIONS, NEXT[0], broken))

    assert version_of(tmp_path / "monitor.db") == OURS + 1
    assert names(tmp_path / "monitor.db") == ["new-e-0", "new-e-1"]


def test_without_room_for_the_copy_nothing_is_changed(tmp_path: Path) -> None:
    with_endpoints(tmp_path, 2)
    (tmp_path / f"monitor-schema-{OURS}.db.part").mkdir()  # stands for whatever makes it impossible
    with pytest.raises(StoreError, match="Is a directory"):
        opened(tmp_path, MIGRATIONS + NEXT)
    assert version_of(tmp_path / "monitor.db") == OURS


CHILD = """
import os, signal, sys, time
from pathlib import Path
from support.entries import NOW
from monitor.store.files import DataFiles
from monitor.store.schema import MIGRATIONS

where = sys.argv[2]

def reached(place):
    if place == where:
        os.kill(os.getpid(), signal.SIGKILL)

more = (
    ("ALTER TABLE endpoints ADD COLUMN colour TEXT",
     lambda db: reached("first, begun"),
     "UPDATE endpoints SET name = 'new-' || name",
     lambda db: reached("first, done")),
    (lambda db: reached("second, begun"),
     "CREATE TABLE colours AS SELECT name FROM endpoints",
     lambda db: reached("second, done")),
)
print("begins", flush=True)
files = DataFiles.open(Path(sys.argv[1]), now=NOW, migrations=MIGRATIONS + more)
print("open", flush=True)
files.close()
"""


def killed_child(data_dir: Path, support: Path, where: str = "nowhere") -> subprocess.Popen[str]:
    program = f"import sys; sys.path.append({str(support)!r})\n{CHILD}"
    child = subprocess.Popen([sys.executable, "-c", program, data_dir, where], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "begins\n"
    return child


def assert_old_or_new(data_dir: Path, endpoints: int) -> int:
    """It is whole, with the schema it says; returns that."""
    path = data_dir / "monitor.db"
    db = sqlite3.connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (renamed,) = db.execute("SELECT count(*) FROM endpoints WHERE name LIKE 'new-%'").fetchone()
    (total,) = db.execute("SELECT count(*) FROM endpoints").fetchone()
    (colours,) = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'colours'").fetchone()
    db.close()
    assert total == endpoints
    assert (renamed, colours) == {OURS: (0, 0), OURS + 1: (total, 0), OURS + 2: (total, 1)}[version]
    if version > OURS:
        assert len(names(data_dir / backup.name(OURS))) == endpoints
    return version


@pytest.mark.parametrize(
    ("where", "left_at"),
    [
        ("first, begun", OURS),
        ("first, done", OURS),
        ("second, begun", OURS + 1),
        ("second, done", OURS + 1),
    ],
)
def test_killed_inside_a_migration(tmp_path: Path, pytestconfig: pytest.Config, where: str, left_at: int) -> None:
    with_endpoints(tmp_path, 50)
    with killed_child(tmp_path, pytestconfig.rootpath / "tests", where) as child:
        assert child.wait() == -9
    assert assert_old_or_new(tmp_path, 50) == left_at

    with killed_child(tmp_path, pytestconfig.rootpath / "tests") as child:  # and the next start goes on from there
        assert child.stdout.read() == "open\n"
    assert assert_old_or_new(tmp_path, 50) == OURS + 2


def test_killed_at_any_moment(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """The moments are spread over what it takes when nobody kills it: check, copy, migrations, close."""
    endpoints, kills = 20_000, 12
    with_endpoints(tmp_path / "whole", endpoints)
    with killed_child(tmp_path / "whole", pytestconfig.rootpath / "tests") as child:
        began = time.monotonic()
        assert child.stdout.read() == "open\n"
        takes = time.monotonic() - began
    with_endpoints(tmp_path / "killed", endpoints)
    for number in range(kills):
        with killed_child(tmp_path / "killed", pytestconfig.rootpath / "tests") as child:
            time.sleep(takes * number / kills)
            child.kill()
        assert_old_or_new(tmp_path / "killed", endpoints)
    opened(tmp_path / "killed", (*MIGRATIONS, (), ())).close()
    assert not list((tmp_path / "killed").glob("*.part"))

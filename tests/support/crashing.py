"""`monitor`, but it kills itself at a named point: `MONITOR_CRASHPOINT=name:nth python -m support.crashing run`.

Only this module reads the variable, and only tests start it: a plain install has neither the module nor the points.
A point is a seam of the production code with a bomb tied to it; the *nth* time it is reached the process gets SIGKILL,
which nothing can catch, tidy up after or log.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from monitor.__main__ import main
from monitor.net.sockets import SocketStream
from monitor.outbox import Outbox
from monitor.recorder import Recorder
from monitor.store import retention, schema, writer
from monitor.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    Die = Callable[[], None]


def bomb(nth: int) -> Die:
    """What kills the process when it is called the *nth* time."""
    left = nth

    def reached() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def alerts(entry: Any) -> bool:
    """Does the entry of the store hold an alert?"""
    return entry.decision is not None and bool(entry.decision.alerts)


def around(
    owner: Any, name: str, *, before: Callable[..., bool] | None = None, after: Callable[..., bool] | None = None
) -> Callable[[Die], None]:
    """A point just before or after the call of *name* of *owner*, where the predicate of its arguments says so."""

    def arm(die: Die) -> None:
        original = getattr(owner, name)

        def told(*args: Any, **kwargs: Any) -> None:
            if before is not None and before(*args, **kwargs):
                die()

        def tell(*args: Any, **kwargs: Any) -> None:
            if after is not None and after(*args, **kwargs):
                die()

        @functools.wraps(original)
        def called(*args: Any, **kwargs: Any) -> Any:
            told(*args, **kwargs)
            result = original(*args, **kwargs)
            tell(*args, **kwargs)
            return result

        @functools.wraps(original)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            told(*args, **kwargs)
            result = await original(*args, **kwargs)
            tell(*args, **kwargs)
            return result

        setattr(owner, name, awaited if original.__code__.co_flags & 0x80 else called)

    return arm


def always(*_: Any, **__: Any) -> bool:
    return True


def in_migration(die: Die) -> None:
    """Between the last step of the last migration and its commit."""
    original = schema.migrate

    def migrate(db: Any, version: int, migrations: Any = schema.MIGRATIONS) -> None:
        if version < len(migrations):
            migrations = (*migrations[:-1], (*migrations[-1], lambda _: die()))
        original(db, version, migrations)

    schema.migrate = migrate


POINTS: dict[str, Callable[[Die], None]] = {
    "before-commit": around(writer, "write_entry", after=lambda _, entry: bool(entry.alerts)),
    "after-commit": around(SqliteStore, "commit", after=lambda _, entry: alerts(entry)),
    "mid-request": around(SocketStream, "send_all", after=lambda _, data: bytes(data[:5]) == b"POST "),
    "before-settle": around(SqliteStore, "settle", before=always),
    "mid-settle": around(writer, "finish_all", after=always),
    "after-settle": around(SqliteStore, "settle", after=always),
    "recovery": around(Recorder, "load", after=always),
    "migration": in_migration,
    "reload": around(Outbox, "replace_sinks", after=always),
    "retention": around(retention, "prune", after=always),
    "drain": around(Outbox, "drained", before=always),
}

if __name__ == "__main__":
    name, _, nth = os.environ["MONITOR_CRASHPOINT"].partition(":")
    POINTS[name](bomb(int(nth)))
    sys.argv[0] = "monitor"
    main()

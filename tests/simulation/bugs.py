"""Bugs to plant: each is a mistake that a monitor of this world has made, or easily could."""

from __future__ import annotations

import attrs


@attrs.frozen
class Bug:
    """A name, and what is changed: file, text, the text in its place."""

    name: str
    changes: tuple[tuple[str, str, str], ...]


BUGS = (
    Bug(
        "settle before send",
        (
            (
                "monitor/outbox/__init__.py",
                "            match await attempt(",
                """            await self._store.settle(*[each.id for each in fixed], attempts=1, at=began)
            match await attempt(""",
            ),
        ),
    ),
    Bug(
        "send before commit",
        (
            (
                "monitor/store/sqlite.py",
                "        ident = await self._writes.write(partial(writer.write_entry, entry=rows_of))\n",
                """        if rows_of.alerts:
            await self._writes.write(partial(writer.write_alerts, alerts=rows_of.alerts))
            rows_of = attrs.evolve(rows_of, alerts=())
        ident = await self._writes.write(partial(writer.write_entry, entry=rows_of))
""",
            ),
        ),
    ),
    Bug(
        "reset on reload",
        (
            (
                "monitor/engine.py",
                "        await self.recorder.forget_all_but(after.keys())\n",
                "        await self.recorder.forget_all_but(after.keys() - set(changed.endpoints.changed))\n",
            ),
        ),
    ),
    Bug(
        "reminder not persisted",
        (
            (
                "monitor/store/alerting.py",
                '        "reminded_at": _millis_or_none(word.reminded_at),\n',
                '        "reminded_at": None,\n',
            ),
        ),
    ),
    Bug(
        "dependency ignored",
        (("monitor/core/dependencies.py", "    if shown is State.DOWN:\n", "    if shown is State.PENDING:\n"),),
    ),
    Bug(
        "maintenance ignored",
        (
            (
                "monitor/holds.py",
                "            found.append(Hold(why=Outcome.MAINTENANCE, until=closes))\n",
                "            pass\n",
            ),
        ),
    ),
    Bug(
        "resolved dropped in maintenance",
        (
            (
                "monitor/core/alerting/review.py",
                "        if not self.kept.words:\n            return\n",
                """        if self.hold is not None:
            self.kept = attrs.evolve(self.kept, words={})
        if not self.kept.words:
            return
""",
            ),
        ),
    ),
    Bug("sequence skipped", (("monitor/core/alerting/messages.py", "self.sequence += 1", "self.sequence += 2"),)),
    Bug(
        "threshold off by one",
        (
            (
                "monitor/core/health.py",
                "health.as_bad_as_down.count >= thresholds.failure:",
                "health.as_bad_as_down.count > thresholds.failure:",
            ),
        ),
    ),
    Bug(
        "a new id at each retry",
        (
            (
                "monitor/sinks/webhook.py",
                '"webhook-id": message.id,',
                '"webhook-id": f"{message.id}-{message.attempt}",',
            ),
        ),
    ),
    Bug(
        "missed slots made up for",
        (
            (
                "monitor/supervisor.py",
                "            due = next_probe(grid, started=started, now=now, retry_interval=retry)\n",
                "            due = min(due + endpoint.interval, now + (retry or endpoint.interval))\n",
            ),
        ),
    ),
    Bug(
        "unknown counted as down",
        (
            (
                "monitor/core/health.py",
                "    if observation.status is Status.UNKNOWN:\n        blind",
                """    if observation.status is Status.UNKNOWN:
        observation = attrs.evolve(observation, status=Status.DOWN)
    if False:
        blind""",
            ),
        ),
    ),
    Bug(
        "own trouble held against the endpoint",
        (("monitor/probing.py", "    if held_up <= duration / 10:", "    if held_up >= 0:"),),
    ),
    Bug(
        "streaks never grow old",
        (("monitor/core/health.py", ".total_seconds() <= thresholds.stale_after:", ".total_seconds() <= 1e12:"),),
    ),
    Bug(
        "the latest delivery first",
        (
            (
                "monitor/store/writer.py",
                "        SELECT min(id) FROM deliveries",
                "        SELECT max(id) FROM deliveries",
            ),
        ),
    ),
    Bug(
        "the deadline is generous",
        (
            (
                "monitor/probing.py",
                "    deadline = trio.current_time() + endpoint.timeout\n",
                "    deadline = trio.current_time() + 2 * endpoint.timeout\n",
            ),
        ),
    ),
    Bug(
        "two checkers at a reload",
        (
            (
                "monitor/supervisor.py",
                "        self.start(endpoint, after=self.stop(endpoint.name), among=among)\n",
                "        self.start(endpoint, among=among)\n",
            ),
        ),
    ),
    Bug(
        "connections left open",
        (
            (
                "monitor/plugin.py",
                "            for stream in self._streams:\n",
                "            for stream in self._streams[1:]:\n",
            ),
        ),
    ),
    Bug(
        "the last word is forgotten",
        (
            (
                "monitor/store/alerting.py",
                '        words={sink: _word(each) for sink, each in data.get("words", {}).items()},\n',
                "        words={},\n",
            ),
        ),
    ),
    Bug(
        "an incident begins when it is confirmed",
        (
            (
                "monitor/core/alerting/review.py",
                "            return self.change.streak.since or self.now, self.change.streak.reason\n",
                "            return self.now, self.change.streak.reason\n",
            ),
        ),
    ),
    Bug(
        "flapping is told, and so is all else",
        (
            (
                "monitor/core/alerting/review.py",
                "        self.kept = kept\n        return True\n",
                "        self.kept = kept\n        return False\n",
            ),
        ),
    ),
)

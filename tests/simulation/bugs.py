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
                "    deadline = began + endpoint.timeout\n",
                "    deadline = clock.monotonic() + 2 * endpoint.timeout\n",
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
                "monitor/probe.py",
                "        for stream in self._streams:\n",
                "        for stream in self._streams[1:]:\n",
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
    Bug(
        "silence ignored",
        (
            (
                "monitor/holds.py",
                "            found.append(Hold(why=Outcome.SILENCE, until=ends))\n",
                "            pass\n",
            ),
        ),
    ),
    Bug(
        "silences are forgotten at a restart",
        (("monitor/silencer.py", "Silence.from_json(each) for each in note or ()", "each for each in ()"),),
    ),
    Bug(
        "acknowledged, and reminded all the same",
        (
            (
                "monitor/core/alerting/review.py",
                "known = self.incident is not None and self.incident.acknowledged is not None",
                "known = False",
            ),
        ),
    ),
    Bug(
        "acknowledgement is forgotten at a restart",
        (
            (
                "monitor/store/rows.py",
                "acknowledged=None if acknowledged is None else ",
                "acknowledged=None if True else ",
            ),
        ),
    ),
    Bug(
        "weekly windows go by UTC",
        (
            (
                "monitor/core/maintenance.py",
                "datetime.combine(day, self.at, self.zone).astimezone(UTC)",
                "datetime.combine(day, self.at, UTC)",
            ),
        ),
    ),
    Bug(
        "references are not asked",
        (
            (
                "monitor/selfwatch/reference.py",
                "text = await self._no_answer(self._moment(change.streak.since or observation.started_at))",
                "text = None",
            ),
        ),
    ),
    Bug(
        "no reference answers, and it is down all the same",
        (
            (
                "monitor/selfwatch/reference.py",
                "attrs.evolve(observation, status=Status.UNKNOWN, reason=reason)",
                "attrs.evolve(observation, reason=reason)",
            ),
        ),
    ),
    Bug(
        "the end of its own trouble is not told",
        (("monitor/core/own_trouble.py", "    is_over = min(ended, default=now + 1) <= now ", "    is_over = False "),),
    ),
    Bug(
        "a digest has another name at each try",
        (
            (
                "monitor/outbox/__init__.py",
                "            return deliveries, deliveries[0].digest\n",
                "            return deliveries, self._rand.id()\n",
            ),
        ),
    ),
    Bug(
        "a digest is put together anew at each try",
        (
            (
                "monitor/outbox/__init__.py",
                "            await self._store.bundle([each.id for each in deliveries], digest=name)\n",
                "            await self._store.bundle([], digest=name)\n",
            ),
        ),
    ),
    Bug(
        "a digest that is refused takes all along",
        (
            (
                "monitor/outbox/ledger.py",
                "            case Dead() if len(deliveries) > 1 and",
                "            case Dead() if len(deliveries) > 100 and",
            ),
        ),
    ),
    Bug(
        "no limit a minute",
        (
            (
                "monitor/core/pacing.py",
                "            room = min(room, self._per_minute - sum",
                "            room = min(room, self._per_minute - 0 * sum",
            ),
            (
                "monitor/core/pacing.py",
                "        full = self._per_minute is not None and",
                "        full = self._per_minute is None and",
            ),
        ),
    ),
    Bug(
        "the limit begins anew at a restart",
        (("monitor/core/pacing.py", "        self._begun.extend(sorted(moments))\n", "        pass\n"),),
    ),
    Bug(
        "who wants to know later is told at once",
        (
            (
                "monitor/core/alerting/review.py",
                "                if route.after is None or due <= self.now:\n",
                "                if route.after is None or due:\n",
            ),
        ),
    ),
    Bug(
        "what cannot be seen counts as up",
        (
            (
                "monitor/store/spans.py",
                '        found.append(Change("unknown", since=health.blind.since, until=health.blind.until))\n',
                "        pass\n",
            ),
        ),
    ),
    Bug(
        "downtime begins when it is confirmed",
        (
            (
                "monitor/store/spans.py",
                'Change("down", since=health.as_bad_as_down.since or transition.at)',
                'Change("down", since=transition.at)',
            ),
        ),
    ),
    Bug(
        "maintenance is downtime",
        (
            (
                "monitor/store/spans.py",
                '*spans.get("unknown", ()), *spans.get("maintenance", ())',
                '*spans.get("unknown", ())',
            ),
        ),
    ),
)

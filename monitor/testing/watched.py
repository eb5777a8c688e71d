"""A check that is looked at while it is probed, and what it may leave behind: tasks, descriptors, threads."""

from __future__ import annotations

import gc
import inspect
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import trio

from monitor.core.errors import leaves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monitor.core.model import Verdict
    from monitor.plugin import Check
    from monitor.probe import Probe

_DESCRIPTORS = Path("/proc/self/fd")
_OURS = ("Trio thread ", "check:", "dns:")  # threads that are kept for the next call, or told of elsewhere


@attrs.define(eq=False)
class Record:
    """One probe of a check whose source is in *file*."""

    file: str
    begun: trio.Event = attrs.field(factory=trio.Event)
    task: trio.lowlevel.Task | None = None
    facts: dict[str, Any] | None = None
    answer: object = None
    raised: BaseException | None = None
    is_over: bool = False
    left_open: bool = False

    async def around(self, check: Check, cls: type[Check], probe: Probe) -> Verdict:
        """Probe, and note what becomes of it."""
        self.task, self.facts = trio.lowlevel.current_task(), probe.facts
        open_before = len(self.task.child_nurseries)
        self.begun.set()
        try:
            self.answer = verdict = await cls.probe(check, probe)
            return verdict
        except BaseException as exc:
            self.raised = exc
            raise
        finally:
            self.is_over = True
            self.left_open = len(self.task.child_nurseries) > open_before

    @property
    def place_of_error(self) -> str | None:
        """Where in the check's own file the error came from: `my_check.py:12`."""
        for leaf in () if self.raised is None else leaves(self.raised):
            frames = traceback.extract_tb(leaf.__traceback__)
            if place := self._last((frame.filename, frame.lineno or 0) for frame in frames):
                return place
        return None

    @property
    def place_of_waiting(self) -> str | None:
        """Where in the check's own file its task waits."""
        if self.task is None:
            return None
        return self._last((frame.f_code.co_filename, line) for frame, line in self.task.iter_await_frames())

    def place_of_running(self, thread: threading.Thread) -> str | None:
        """Where in the check's own file *thread* is at work; None: it is not."""
        frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - documented, for such uses
        frames = () if frame is None else traceback.walk_stack(frame)
        innermost_last = reversed([(each.f_code.co_filename, line) for each, line in frames])
        return self._last(innermost_last)

    def _last(self, places: Iterable[tuple[str, int]]) -> str | None:
        own = [line for file, line in places if file == self.file]
        return f"{Path(self.file).name}:{own[-1]}" if own else None


def watched(cls: type[Check], record: Record) -> type[Check]:
    """*cls*, but what its probes do is noted in *record*."""

    async def probe(self: Check, probe: Probe) -> Verdict:
        return await record.around(self, cls, probe)

    return type(cls.__name__, (cls,), {"probe": probe, "__module__": cls.__module__, "__slots__": ()})


def source_of(cls: type[Check]) -> str:
    """The file in which *cls* is written."""
    return inspect.getsourcefile(cls) or ""


@attrs.frozen
class Traces:
    """What there is in this process now; compared with what there was before, what was left behind."""

    tasks: frozenset[trio.lowlevel.Task]
    descriptors: frozenset[str]
    threads: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Self:
        """Look around."""
        gc.collect()
        root = trio.lowlevel.current_root_task()
        assert root is not None  # noqa: S101 - there is one while the loop runs
        threads = (each for each in threading.enumerate() if not each.name.startswith(_OURS))
        return cls(frozenset(_below(root)), frozenset(_descriptors()), frozenset(threads))

    def left_since(self, before: Traces) -> list[str]:
        """One sentence for each thing that is here now and was not *before*."""
        return [
            *(f"it leaves the task {task.name} running" for task in self.tasks - before.tasks),
            *(f"it leaves the thread {thread.name} running" for thread in self.threads - before.threads),
            *(f"it leaves open {what}" for what in sorted(self.descriptors - before.descriptors)),
        ]


def _below(task: trio.lowlevel.Task) -> Iterable[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _below(child)


def _descriptors() -> Iterable[str]:
    """Number and kind of every open one, where the system tells."""
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - a Path for each is of no use
    except OSError:
        return
    for name in names:
        try:
            yield f"the descriptor {name}, {os.readlink(_DESCRIPTORS / name)}"  # noqa: PTH115 - `pipe:[1]` is no path
        except OSError:
            continue  # that of the listing itself

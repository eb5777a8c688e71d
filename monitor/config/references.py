"""What names endpoints: `depends_on`, and the targets of maintenance. Checked once all endpoints have been read."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from monitor.core.dependencies import cycles
from monitor.core.hints import did_you_mean
from monitor.core.quantities import shown
from monitor.core.targets import unknown_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from monitor.config.files import Source
    from monitor.config.positions import Path as Place
    from monitor.config.problems import Problems


def expanded(names: Sequence[str], members: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """*names*, each family by all its *members*, none twice."""
    return tuple(dict.fromkeys(each for name in names for each in members.get(name, (name,))))


class References:
    """The endpoints there are, also those with mistakes elsewhere, and whom they name."""

    def __init__(self, problems: Problems) -> None:
        """Begin without any."""
        self._problems = problems
        self._groups: set[str] = set()
        self._places: dict[str, tuple[Source, Place]] = {}
        self._depends_on: dict[str, tuple[str, ...]] = {}
        self.members: dict[str, Sequence[str]] = {}  # of endpoints with targets, by their name

    def met(self, source: Source, place: Place, values: Mapping[str, Any]) -> None:
        """Note the endpoint at *place*, whose *values* are those of its keys that are right."""
        name, group = values.get("name"), values.get("group")
        if group is not None:
            self._groups.add(group)
        if name is not None and name not in self._places:
            self._places[name] = source, place
            self._depends_on[name] = values.get("depends_on", ())

    def met_family(self, source: Source, place: Place, values: Mapping[str, Any], members: Sequence[str]) -> None:
        """Note the endpoint at *place*, which is all these *members*."""
        for name in members:
            self.met(source, place, {**values, "name": name})
        if "name" in values:
            self.members.setdefault(values["name"], members)

    def hold_dependencies(self) -> None:
        """Each `depends_on` must name other endpoints, and none itself through others."""
        for name, parents in self._depends_on.items():
            for index, parent in enumerate(parents):
                if self._is_of(name, parent):
                    self._dependency(name, index, "an endpoint cannot depend on itself")
                elif parent in parents[:index]:
                    self._dependency(name, index, f"{shown(parent)} is named twice")
                elif parent not in self._places and parent not in self.members:
                    hint = did_you_mean(parent, [*self._places, *self.members])
                    self._dependency(name, index, f"there is no endpoint {shown(parent)}{hint}")
        others = {
            name: expanded([each for each in parents if not self._is_of(name, each)], self.members)
            for name, parents in self._depends_on.items()
        }
        for cycle in cycles(others):
            name, following, *_ = cycle
            way = ", ".join(f"{shown(child)} on {shown(parent)}" for child, parent in pairwise(cycle[1:]))
            index = next(
                number for number, parent in enumerate(self._depends_on[name]) if self._is_of(following, parent)
            )
            self._dependency(name, index, f"a cycle: {shown(name)} depends on {shown(following)}, {way}")

    def _is_of(self, name: str, named: str) -> bool:
        """Is *name* meant by *named*, itself or as one of its family?"""
        return name == named or name in self.members.get(named, ())

    def _dependency(self, name: str, index: int, message: str) -> None:
        source, place = self._places[name]
        self._problems.add(source, (*place, "depends_on", index), message)

    def hold_targets(self, source: Source, place: Place, targets: Sequence[str]) -> None:
        """Each of *targets* must mean something, and none twice the same."""
        for index, target in enumerate(targets):
            problem = unknown_target(target, self._places.keys() | self.members.keys(), self._groups)
            if target in targets[:index]:
                problem = f"{shown(target)} is named twice"
            if problem is not None:
                self._problems.add(source, (*place, index), problem)

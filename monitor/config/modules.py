"""`[module.NAME]`: a check with options and expectations, whose target is named when it is asked for by `/probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from monitor.config.fields import table_of
from monitor.config.kinds import target_of, usable
from monitor.config.schema import ModuleTable
from monitor.core.model import Endpoint
from monitor.core.quantities import Duration, shown
from monitor.declaring import key_of

if TYPE_CHECKING:
    from monitor.config.fields import Fields
    from monitor.config.files import Source
    from monitor.config.problems import Problems
    from monitor.config.tables import Tables
    from monitor.core.expectations import Expectations
    from monitor.plugin import Check

_OURS = frozenset(attribute.name for attribute in attrs.fields(ModuleTable))
# What a check is given to see whether the rest of its options is right: the first that it takes for a target.
_SAMPLES = ("target.example:80", "target.example", "/target")


@attrs.frozen(kw_only=True)
class Module:
    """One of them."""

    name: str
    kind: str
    check: Check  # of a target that is none
    timeout: float  # seconds
    expect: Expectations
    degraded: Expectations
    invert: bool
    set_options: tuple[str, ...]  # the keys of the check that the config sets

    def endpoint(self, target: str, *, hostname: str | None, timeout: float) -> Endpoint:
        """What is probed once: *target*, under the name *hostname* if it is given. Raises ValueError, one sentence."""
        schemes = type(self.check).schemes
        url = target if "://" in target else f"{schemes[0]}://{target}"
        scheme = url.partition("://")[0].lower()
        if scheme not in schemes:
            raise ValueError(f"expected a target with the scheme {' or '.join(schemes)}, got {shown(scheme)}")
        options = type(self.check).for_target(url)
        if hostname is not None:
            options |= self._called(hostname)
        check = attrs.evolve(self.check, **options)  # type: ignore[misc]  # every check is an attrs class
        return Endpoint(
            name=self.name,
            kind=self.kind,
            check=check,
            target=target_of(check),
            timeout=Duration(timeout),
            interval=Duration(timeout),  # there is no schedule
            retry_interval=Duration(timeout),
            expect=self.expect,
            degraded=self.degraded,
            invert=self.invert,
            failure_threshold=1,
            success_threshold=1,
        )

    def _called(self, hostname: str) -> dict[str, Any]:
        """The options by which the target is asked for as *hostname*: the header Host, and the name TLS sends."""
        known = {key_of(attribute) for attribute in attrs.fields(type(self.check))}  # type: ignore[arg-type]
        options: dict[str, Any] = {}
        if "headers" in known:
            headers: dict[str, str] = getattr(self.check, "headers", {})
            given = next((value for name, value in headers.items() if name.lower() == "host"), hostname)
            if given != hostname:
                raise ValueError(f"expected the hostname {shown(given)}, which the module has, got {shown(hostname)}")
            options["headers"] = {name: value for name, value in headers.items() if name.lower() != "host"}
            options["headers"]["Host"] = hostname
        if "server_name" in known:
            options["server_name"] = hostname
        if not options:
            raise ValueError(f'expected no hostname: the check "{self.kind}" has no use for it')
        return options


class Modules:
    """Reads the tables of the main file."""

    def __init__(self, fields: Fields, tables: Tables, problems: Problems) -> None:
        """Make ready; what is wrong goes to *problems*."""
        self._fields = fields
        self._tables = tables
        self._problems = problems

    def all_of(self, source: Source) -> dict[str, Module]:
        """Read every `[module.NAME]`; those that are right, by name."""
        found = {}
        with self._problems.at(source, "module"):
            for name, table in table_of(source.tree.get("module", {})).items():
                module = None
                with self._problems.at(source, "module", name):
                    module = self._module(source, name, table_of(table))
                if module is not None:
                    found[name] = module
        return found

    def _module(self, source: Source, name: str, table: dict[str, Any]) -> Module | None:
        place = ("module", name)
        own = {key: value for key, value in table.items() if key in _OURS}
        options = {key: value for key, value in table.items() if key not in _OURS}
        record: ModuleTable | None = None
        with self._problems.at(source, *place):
            record = self._fields.table(ModuleTable, own)
        values = self._fields.values(ModuleTable, own)[0]
        if "check" not in values:
            return None
        with self._problems.at(source, *place, "check"):
            plugin = self._tables.chosen_check(values["check"])
            cls = usable(plugin, ModuleTable, self._fields)
            if not cls.schemes:
                raise ValueError(f'the check "{plugin.kind}" takes no target')
            expect, degraded = (
                self._tables.expectations(source, (*place, each), cls, values.get(each, ()))
                for each in ("expect", "degraded")
            )
            targets = _sample(cls)
            with self._problems.at(source, *place):
                for key in targets.keys() & options.keys():
                    self._problems.add(source, (*place, key), "expected none: the target is named by who asks")
                    del options[key]
                check = self._fields.table(cls, {**targets, **options}, others=_OURS)
                if record is not None:
                    check.fits(record.timeout)
                    return Module(
                        name=name,
                        kind=plugin.kind,
                        check=check,
                        timeout=float(record.timeout),
                        expect=expect,
                        degraded=degraded,
                        invert=record.invert,
                        set_options=tuple(options),
                    )
        return None


def _sample(cls: type[Check]) -> dict[str, Any]:
    """The options for a target that is none."""
    found: dict[str, Any] = {}
    for target in _SAMPLES:
        found = cls.for_target(f"{cls.schemes[0]}://{target}")
        try:
            for attribute in attrs.fields(cls):  # type: ignore[arg-type]
                if attribute.validator is not None and key_of(attribute) in found:
                    attribute.validator(None, attribute, found[key_of(attribute)])
        except ValueError:
            continue
        break
    return found

"""A kind of check: the class to derive from, and what it declares. Plugins import it by `monitor.api`.

Nothing here imports trio or httpx when it is loaded: `validate` loads the check classes of a config and must stay
cheap. What a check is handed is in `monitor.probe`, how it declares options in `monitor.declaring`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.core.facts import Fact
    from monitor.core.model import Verdict
    from monitor.probe import Probe


class Check:
    """A kind of probe. Derive an attrs class; its fields are the config keys, with types, defaults and docs.

    One instance serves one endpoint for as long as its config stays the same; it is frozen, and two that compare
    equal are taken for the same. Field types a config can fill: str, int, float, bool, Duration, ByteSize,
    Expression, Template, Path (relative to the config file), Literal, Any (any TOML value), other attrs classes, and
    lists, tuples, dicts with str keys and `| None` of these.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    """URL schemes that choose this check when `check` is left out: `("http", "https")`."""

    facts: ClassVar[Mapping[str, Fact] | None] = None
    """The facts `probe` may set, for `expect` and the docs; None: not declared, any name may be used."""

    own_task: ClassVar[bool] = True
    """Is `probe` called in a task of its own? False spares a tenth of the CPU time. It is a promise, which subclasses
    inherit: when `probe` returns or raises, no nursery, cancel scope or generator that it opened is open still."""

    phases_metric: ClassVar[str] = "probe_phase_duration_seconds"
    """The gauge of `/metrics` that the phases are, with the label `phase`."""

    @property
    def target(self) -> str:
        """The thing looked at, for people; secrets are masked by the engine. Default: the option `url`."""
        return str(getattr(self, "url", ""))

    @property
    def push_token(self) -> str | None:
        """The secret by which the endpoint tells how it is, in place of being asked; None: it is asked."""
        return None

    @property
    def stays(self) -> bool:
        """Does it keep something between two probes of a watched endpoint? Then `probe.companion` is there for it."""
        return False

    @property
    def _only_connects(self) -> bool:
        """Does `probe` wait for nothing but connections, streams and `transport` of its `Probe`: no sleep, no lock?

        Then the net may drive it, at less cost. Not for plugins, nor for those who inherit from a check that says so:
        who breaks the promise takes others along.
        """
        return False

    @classmethod
    def for_target(cls, url: str) -> dict[str, Any]:
        """The options that `monitor check URL` means, for a URL with one of the `schemes`."""
        return {"url": url}

    def fits(self, timeout: float) -> None:
        """Hold the options against the endpoint's *timeout*, in seconds, when the config is read.

        Raises OptionError for one that no probe could keep within it. What is left of it when a probe is made, under
        another timeout on the command line, `Probe.time_left` tells.
        """

    async def probe(self, probe: Probe) -> Verdict:
        """Look at the endpoint once, on a fresh connection, or on one that was kept (`Probe.keep`).

        The caller owns the deadline: take no timeout, and let `trio.Cancelled` pass. Return a failing Verdict for
        anything the endpoint did wrong; raise only for bugs. What the network layer raises may pass, too: it
        is the endpoint's failure, with the right reason.
        """
        raise NotImplementedError

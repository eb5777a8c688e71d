"""The errors that cross module borders; each one's text is a sentence for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.core.model import Reason


class MonitorError(Exception):
    """Base of every error that a user may see; `str()` of it is one sentence."""


@attrs.frozen
class Problem:
    """One mistake in a config file."""

    file: str
    line: int | None
    path: str  # `endpoint[1].timeout`, empty for the whole file
    message: str

    def __str__(self) -> str:
        """`config.toml:12: endpoint[1].timeout: expected a duration such as "5s", got 5`."""
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(MonitorError):
    """A config that cannot be used; carries every problem found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep *problems*; the text is one line for each."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.sights: Any = None  # the `monitor.config.sights.Sights` of the reading that failed


class PluginError(MonitorError):
    """A check or sink class that cannot be loaded or breaks the plugin contract."""


class StoreError(MonitorError):
    """The database cannot be opened, read or written."""


class UnavailableError(StoreError):
    """The database cannot be used now: a full disk, a lock, a file that is gone. It may work again later.

    *full* where what is there can be read, perhaps, and not be added to.
    """

    def __init__(self, message: str, *, full: bool = False) -> None:
        """Say what went wrong in one sentence."""
        super().__init__(message)
        self.full = full


class DamagedError(UnavailableError):
    """The database's own structure is broken: no waiting mends it."""


class DeliveryError(Exception):
    """A sink could not deliver. Raised by sinks, read by the outbox.

    *status* is the receiver's HTTP status, where it had one; the outbox decides by it how to go on
    (PRODUCT section 4). Without a status the failure is one of the network and is tried again.
    *retry_after* is what the receiver asked for, in seconds. A sink of another protocol than HTTP gives the *status*
    that means the same: 401 for what a config mends, 422 for a message that is refused. *final*: no try can ever
    succeed. The text never holds a URL or a secret.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None, final: bool = False
    ) -> None:
        """Say what went wrong in one sentence."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.final = final


class ProbeError(Exception):
    """Something the network layer met while it worked for a check: a finished reason.

    `monitor.net` raises it (httpx's own exceptions carry it as `__cause__`), `probing` turns it into an
    observation. A check may catch it, or let it pass: then it is the endpoint's failure, not a crash.
    """

    def __init__(self, reason: Reason) -> None:
        """Carry *reason*."""
        super().__init__(reason.message)
        self.reason = reason


def describe(exc: BaseException) -> str:
    """Say what *exc* means: the first text along its causes, else its type's name."""
    step: BaseException | None = exc
    while step is not None:
        if isinstance(step, BaseExceptionGroup):
            step = step.exceptions[0]
            continue
        try:
            text = str(step).strip()
        except Exception:  # noqa: BLE001 - a stranger's `__str__`, and we are talking about its failure already
            return type(step).__name__
        if text:
            return text
        step = step.__cause__ or step.__context__
    return type(exc).__name__


def typed(exc: BaseException) -> str:
    """What *exc*, a bug of somebody's, is and the first line of what it says: `ValueError: boom`."""
    name, text = type(exc).__name__, describe(exc).partition("\n")[0]
    return name if text == name else f"{name}: {text}"


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions in *exc* that are no groups: itself, or all that it holds."""
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from leaves(each)
    else:
        yield exc

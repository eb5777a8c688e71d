"""Renders one template and ends: the process that `template` starts, bounded in time and memory.

Reads `{"template": …, "values": …}` from stdin and writes the result to stdout; what goes wrong is one line on stderr.
"""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

_SECONDS = 3  # of processor time
_MEMORY = 512 * 1024 * 1024  # bytes of address space
_LARGEST = 256 * 1024  # bytes of a result


class _Environment(ImmutableSandboxedEnvironment):
    """What is absent is empty, however deep one asks into it; and null, of which there is much, is as absent."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.undefined(name=attribute) if obj is None else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self.undefined(name=str(argument)) if obj is None else super().getitem(obj, argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What the sandbox forbids is not merely absent."""
        return StrictUndefined(f"{attribute!r} is not for templates", obj=obj, name=attribute, exc=SecurityError)


def environment() -> ImmutableSandboxedEnvironment:
    """Templates can look at what they are given, and change or reach nothing.

    Constants are not computed before there is a bound: `{{ "x" * 10 ** 10 }}` shall compile at once.
    """
    return _Environment(
        autoescape=False, optimized=False, keep_trailing_newline=False, undefined=ChainableUndefined, finalize=_empty
    )


def _empty(value: object) -> object:
    return "" if value is None else value


def main() -> int:
    """Render; the exit code."""
    _bound()
    asked = json.load(sys.stdin)
    try:
        result = environment().from_string(asked["template"]).render(asked["values"]).encode("utf-8", "replace")
    except MemoryError:
        return _failed("it takes too much memory")
    except Exception as exc:  # noqa: BLE001 - whatever a template does is told in a sentence
        return _failed(f"{_line(exc)}{type(exc).__name__}: {exc}")
    if len(result) > _LARGEST:
        return _failed(f"its result is larger than {_LARGEST // 1024} KiB")
    sys.stdout.buffer.write(result)
    sys.stdout.flush()
    return 0


def _bound() -> None:
    """Take no more than is due, whoever started us."""
    try:
        import resource  # noqa: PLC0415 - not everywhere
    except ImportError:
        return
    for what, most in ((resource.RLIMIT_CPU, _SECONDS), (resource.RLIMIT_AS, _MEMORY)):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # a lower limit stands already, or there is none to be had here
            continue


def _line(exc: Exception) -> str:
    """`line 3: `, where it went wrong in the template."""
    lines = [
        number for frame, number in traceback.walk_tb(exc.__traceback__) if frame.f_code.co_filename == "<template>"
    ]
    return f"line {lines[-1]}: " if lines else ""


def _failed(why: str) -> int:
    sys.stderr.write(why.partition("\n")[0] + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

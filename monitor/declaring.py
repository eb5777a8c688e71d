"""How a check or sink declares its options: attrs fields with a line of documentation, and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class OptionError(ValueError):
    """An option's value that cannot be: *option* is its name or path, `steps[1].expect`."""

    def __init__(self, option: str, message: str) -> None:
        """Say in one sentence what was expected and what came."""
        super().__init__(message)
        self.option = option


def check_option(
    *,
    doc: str,
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    validator: Callable[[Any], None] | None = None,
    available: bool = True,
    secret: bool | Callable[[Any], Iterable[str]] = False,
) -> Any:
    """Declare one option of a check or sink: an attrs field with its documentation.

    *doc* is one line for `monitor checks KIND` and the docs. *validator* takes the value and raises ValueError
    with one sentence. An option that is documented but not *available* yet is refused in a config. What is
    *secret* is masked wherever people would see it, also where it stands in the config in clear: the texts in the
    value, or those of them that a function gives.
    """

    if factory is not None:
        default = attrs.Factory(factory)
    return attrs.field(
        default=default,
        validator=None if validator is None else _naming_the_option(validator),
        kw_only=True,
        metadata={"doc": doc, "available": available, "secret": _texts_in if secret is True else secret or None},
    )


def _texts_in(value: Any) -> Iterable[str]:
    match value:
        case str():
            yield value
        case list() | tuple():
            for each in value:
                yield from _texts_in(each)
        case dict():
            yield from _texts_in([*value.values()])


def key_of(attribute: attrs.Attribute[Any]) -> str:
    """The key in a config that fills *attribute*: its name; `from_` is the key `from`, which cannot be a name."""
    return (attribute.alias or attribute.name).removesuffix("_")


def _naming_the_option(validator: Callable[[Any], None]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def validate(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None:
            try:
                validator(value)
            except OptionError:
                raise
            except ValueError as exc:
                raise OptionError(key_of(attribute), str(exc)) from exc

    return validate

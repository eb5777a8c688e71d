"""The public API is documented: every name in docs/plugins.md, every name and method by a docstring of its own."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monitor.api
import monitor.testing

if TYPE_CHECKING:
    from types import ModuleType

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text("utf-8")
MODULES = (monitor.api, monitor.testing)
NAMES = [(module, name) for module in MODULES for name in module.__all__]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_page_lists_every_name_and_no_other(module: ModuleType) -> None:
    table = PAGE.split(f"\n| `{module.__name__}` | |\n", 1)[1].split("\n\n", 1)[0]
    listed = re.findall(r"^\| `(\w+)` \| \S", table, re.MULTILINE)
    assert sorted(listed) == sorted(module.__all__)
    assert listed == sorted(listed, key=str.lower)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_what_is_imported_is_for_everybody(module: ModuleType) -> None:
    public = {name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public == set(module.__all__)


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_name_has_its_docstring(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    if not inspect.isclass(value) and not inspect.isfunction(value):
        return  # a constant, or the name of a type: the string below it is not kept
    assert value.__doc__, name
    for attribute, member in vars(value).items():
        if attribute.startswith("_") or not (inspect.isfunction(member) or isinstance(member, property | classmethod)):
            continue
        assert inspect.getdoc(getattr(value, attribute) if isinstance(member, classmethod) else member), attribute

"""Words for people."""

from __future__ import annotations

import pytest

from monitor.core.text import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 mistakes"), (1, "1 mistake"), (2, "2 mistakes"), (1000, "1000 mistakes")]
)
def test_a_number_and_its_noun(number: int, text: str) -> None:
    assert counted(number, "mistake") == text

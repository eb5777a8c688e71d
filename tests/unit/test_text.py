"""Words for people."""

from __future__ import annotations

import json

import pytest

from monitor.core.text import counted, visible_json


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 mistakes"), (1, "1 mistake"), (2, "2 mistakes"), (1000, "1000 mistakes")]
)
def test_a_number_and_its_noun(number: int, text: str) -> None:
    assert counted(number, "mistake") == text


@pytest.mark.parametrize(
    "text", ["plain", 'ä "x" 日本', "\x7f\x9b31m", "\u202e\u2028\xa0", "\U000e0041\ud83d", "\x00\n\t"]
)
def test_json_that_is_safe_on_a_terminal_is_the_same_json(text: str) -> None:
    for indent in (None, 2):
        shown = visible_json(json.dumps({text: [text]}, ensure_ascii=False, indent=indent))
        assert shown.replace("\n", "").isprintable()
        assert json.loads(shown) == {text: [text]}

"""What was inserted from the environment or a file is masked, however it is written."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.secrets import Masker

if TYPE_CHECKING:
    from collections.abc import Callable


def masker(*values: str) -> Masker:
    mask = Masker()
    for value in values:
        mask.remember(value)
    return mask


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        ((), "nothing to hide", "nothing to hide"),
        (("hunter22",), "password hunter22 refused", "password *** refused"),
        (("hunter22",), "xhunter22xhunter22", "x***x***"),
        (("p@ss word/1",), "https://u:p%40ss%20word%2F1@h/", "https://u:***@h/"),
        (("p@ss word/1",), "?q=p%40ss+word%2F1", "?q=***"),
        (("p@ss word/1",), "plain p@ss word/1", "plain ***"),
        (("a.b*c(d",), "a.b*c(d but not aXbbc(d", "*** but not aXbbc(d"),
        (("secret1", "secret1234"), "secret1234 secret1", "*** ***"),  # the longer goes as a whole
        (("secret1234", "secret1"), "secret1234 secret1", "*** ***"),
        (("8080",), "port 8080, not 18080 or 80801", "port ***, not 18080 or 80801"),  # short: only on its own
        (("",), "untouched", "untouched"),
        (("   ",), "a   b", "a   b"),
    ],
)
def test_remembered_values_are_masked(values: tuple[str, ...], text: str, expected: str) -> None:
    assert masker(*values)(text) == expected


def test_what_is_remembered_later_is_masked_from_then_on() -> None:
    mask = masker("first-secret")
    assert mask("first-secret second-secret") == "*** second-secret"
    mask.remember("second-secret")
    assert mask("first-secret second-secret") == "*** ***"


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=6, max_size=40)


@given(secret=printable, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_long_secret_never_shows(secret: str, before: str, after: str) -> None:
    if not secret.strip() or secret in "***":
        return
    assert secret not in masker(secret)(before + "<" + secret + ">" + after).replace("***", "")


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("sk_live_0123456789", 'got "sk_live_0123…"', 'got "***…"'),  # shortened
        ("sk_live_0123456789", "host SK_LIVE_0123456789 is no host", "host *** is no host"),
        ("https://example.org/tok_0123456789", "https:// needs a host", "https:// needs a host"),
        ("shorter", "short text", "short text"),
    ],
)
def test_a_message_about_a_wrong_value_holds_no_long_piece_of_it(value: str, text: str, expected: str) -> None:
    assert masker(value).thoroughly(text) == expected


def test_one_masker_of_two_masks_what_either_does() -> None:
    both = masker("first-secret") | masker("second-secret")
    assert both("first-secret, second-secret") == "***, ***"


SECRET = "p@ss/w+rd?é"


@pytest.mark.parametrize(
    "around",
    [
        lambda encode: encode(f"user:{SECRET}"),  # as of Basic, wherever it begins
        lambda encode: encode(f"u:{SECRET}"),
        lambda encode: encode(f"us:{SECRET} and more"),
        lambda encode: encode(SECRET),
    ],
)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_wherever_the_value_begins(
    around: Callable[[Callable[[str], str]], str], encode: Callable[[bytes], bytes]
) -> None:
    text = around(lambda plain: encode(plain.encode()).decode())
    shown = masker(SECRET)(f"Basic {text}!")
    assert "***" in shown
    hidden = len(f"Basic {text}!") - len(shown.replace("***", ""))
    assert hidden >= len(SECRET.encode()) * 8 // 6 - 2, "all but characters that hold bits of others"


@pytest.mark.parametrize(
    "written",
    [
        json.dumps('x"yz\n1é'),
        json.dumps('x"yz\n1é', ensure_ascii=False),
        "x&quot;yz\n1é",
        'x"yz\n1é'.encode().decode("latin-1"),
    ],
)
def test_escaped_values_are_masked(written: str) -> None:
    assert masker('x"yz\n1é')(written).strip('"') == "***"

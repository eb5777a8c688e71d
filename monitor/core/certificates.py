"""When certificates are worth a word: a while before they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.core.model import Code, Verdict
from monitor.core.quantities import seconds_text

if TYPE_CHECKING:
    from datetime import datetime


def verdict(expires: datetime | None, now: datetime, warning: float) -> Verdict:
    """Up; or degraded, reason `tls`, where what *expires* does so within *warning* seconds (0: never)."""
    if not warning or expires is None:
        return Verdict.up()
    left = (expires - now).total_seconds()
    if left > warning:
        return Verdict.up()
    when = f"expires in {seconds_text(left)}" if left > 0 else f"expired {seconds_text(-left)} ago"
    text = f"certificate {when}, on {expires:%Y-%m-%d}; warned {seconds_text(warning)} ahead"
    return Verdict.degraded(text, code=Code.TLS, phase="tls")

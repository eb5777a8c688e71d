"""An alert as an e-mail: plain text, found and sorted by its headers.

The same documents give the same bytes: `Date` is the alert's own moment, `Message-ID` its id, so that a duplicate is
recognised. All mails of an incident refer to it, which makes a thread of them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from monitor.sinks.formats.words import cut, news

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.headerregistry import Address

    from monitor.sinks.formats.words import Document

_LONGEST_SUBJECT = 200


def render(documents: Sequence[Document], *, ident: str, sender: Address, recipients: Sequence[Address]) -> bytes:
    """The mail with the id *ident*, as bytes for DATA."""
    told = news(documents)
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = cut(told.title, _LONGEST_SUBJECT)
    mail["From"] = sender
    mail["To"] = recipients
    mail["Date"] = format_datetime(datetime.fromisoformat(told.at).astimezone(UTC))
    mail["Message-ID"] = f"<{ident}@{sender.domain}>"
    incident = documents[-1]["data"]["incident"]
    if incident is not None:
        mail["References"] = f"<incident.{incident['id']}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers it that they are on holiday
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content("\n".join([told.title, "", *told.lines, "", f"Told at {told.at} by Nursery Monitor."]) + "\n")
    return mail.as_bytes()


def address(text: str) -> Address:
    """The one address in *text*: `ops@example.org`, `Ops <ops@example.org>`. ValueError where there is not one."""
    from email.headerregistry import HeaderRegistry  # noqa: PLC0415 - only where there are addresses

    expected = 'expected an address such as "ops@example.org"'
    if not text.isprintable():
        raise ValueError(f"{expected}, got one with a line break or control character")
    header = HeaderRegistry()("to", text)
    addresses: tuple[Address, ...] = getattr(header, "addresses", ())
    if header.defects or len(addresses) != 1 or not addresses[0].username or not addresses[0].domain:
        raise ValueError(f"{expected}, got something else")
    return addresses[0]

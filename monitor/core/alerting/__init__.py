"""From what is true of an endpoint to what is said about it (docs/decisions/0005).

review.py         the decision: what each sink was told last, held against the truth
words.py          what is kept from one review to the next
circumstances.py  what may hold alerts back
flapping.py       counting transitions
messages.py       alerts, grouped and counted
render.py         the document, byte for byte
"""

from monitor.core.alerting.circumstances import Hold
from monitor.core.alerting.leaving import leave
from monitor.core.alerting.render import described, incident_json, render
from monitor.core.alerting.review import review
from monitor.core.alerting.situation import Decision, Situation
from monitor.core.alerting.words import NOTHING, Alerting, Flapping, Word

__all__ = [
    "NOTHING",
    "Alerting",
    "Decision",
    "Flapping",
    "Hold",
    "Situation",
    "Word",
    "described",
    "incident_json",
    "leave",
    "render",
    "review",
]

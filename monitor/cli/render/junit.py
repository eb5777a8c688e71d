"""Results as JUnit XML, for the reports of CI systems: a test case for each endpoint.

`down` is a failure, `unknown` an error; `degraded` counts as up and says why in its output.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from monitor.core.model import Status, timestamp
from monitor.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.core.model import Endpoint, Observation

_ELEMENTS = {Status.DOWN: "failure", Status.UNKNOWN: "error"}


def render(endpoints: Sequence[Endpoint], seen: Sequence[Observation]) -> str:
    """Render them as one suite; times are seconds. ASCII only, so that it is right in any encoding."""
    totals = {
        "tests": str(len(seen)),
        "failures": str(sum(each.status is Status.DOWN for each in seen)),
        "errors": str(sum(each.status is Status.UNKNOWN for each in seen)),
        "time": f"{max(each.duration for each in seen):.6f}",  # they were made at once
    }
    suites = ElementTree.Element("testsuites", totals)
    began = timestamp(min(each.started_at for each in seen)).removesuffix("Z")  # the schema knows no zones
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "monitor", "timestamp": began, **totals})
    for endpoint, each in zip(endpoints, seen, strict=True):
        _case(suite, endpoint, each)
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="us-ascii", xml_declaration=True)
    return text.decode("ascii")


def _case(suite: ElementTree.Element, endpoint: Endpoint, seen: Observation) -> None:
    attributes = {
        "name": printable(endpoint.name),
        "classname": printable(endpoint.group or endpoint.kind),
        "time": f"{seen.duration:.6f}",
    }
    case = ElementTree.SubElement(suite, "testcase", attributes)
    message, element = printable(seen.reason.message), _ELEMENTS.get(seen.status)
    if element is not None:
        said = ElementTree.SubElement(case, element, {"message": message, "type": str(seen.reason.code)})
        said.text = f"{printable(endpoint.target)}: {message}"
    output = {"status": str(seen.status), "reason": seen.reason.to_json(), "phases": dict(seen.phases)}
    ElementTree.SubElement(case, "system-out").text = json.dumps(output)

"""The public plugin API: everything a check or a sink may import from us, and nothing else.

    from monitor.api import Check, Probe, Verdict, check_option

A check is an attrs class derived from `Check`: its fields are the config keys, its `probe` looks once and answers
with a `Verdict`. See docs/plugins.md.
"""

from monitor.companion import Companion
from monitor.core.errors import DeliveryError, ProbeError, describe
from monitor.core.expectations import ExpectationError, Expectations, compile_all, compile_value
from monitor.core.facts import Fact, Metric
from monitor.core.model import Code, Reason, Status, Verdict
from monitor.core.programs import Ran
from monitor.core.quantities import ByteSize, Duration, Expression, Lifetime, Template, seconds_text, shown
from monitor.declaring import OptionError, check_option
from monitor.net import TLS, Addressing, Answer, Datagrams, Echo, Echoes, Secured, Stream
from monitor.net.identity import hold_identity
from monitor.net.nameservers import NameServer
from monitor.net.proxy import Proxy
from monitor.plugin import Check
from monitor.probe import Probe
from monitor.telling import Manner, Message, Sink
from monitor.validators import certificates_file, headers_without, is_host, is_token, named_secrets, one_line, url_with

__all__ = [
    "TLS",
    "Addressing",
    "Answer",
    "ByteSize",
    "Check",
    "Code",
    "Companion",
    "Datagrams",
    "DeliveryError",
    "Duration",
    "Echo",
    "Echoes",
    "ExpectationError",
    "Expectations",
    "Expression",
    "Fact",
    "Lifetime",
    "Manner",
    "Message",
    "Metric",
    "NameServer",
    "OptionError",
    "Probe",
    "ProbeError",
    "Proxy",
    "Ran",
    "Reason",
    "Secured",
    "Sink",
    "Status",
    "Stream",
    "Template",
    "Verdict",
    "certificates_file",
    "check_option",
    "compile_all",
    "compile_value",
    "describe",
    "headers_without",
    "hold_identity",
    "is_host",
    "is_token",
    "named_secrets",
    "one_line",
    "seconds_text",
    "shown",
    "url_with",
]

"""`grpc`: ask a server by gRPC's health checking protocol whether it serves.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md and PROTOCOL-HTTP2.md beside it. One call is one
request by HTTP/2; its messages have one field each, and are written and read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NoReturn
from urllib.parse import unquote, urlsplit

import attrs

from checks.auth import USER_AGENT
from checks.connecting import CONNECTION_FACTS, Connecting
from checks.options import grpc_url, metadata, port_of
from monitor.api import Code, Fact, Metric, OptionError, Probe, ProbeError, Reason, Verdict, check_option, named_secrets

if TYPE_CHECKING:
    import httpx

    from monitor.api import Answer

_METHOD = "/grpc.health.v1.Health/Check"
_BODY_LIMIT = 16 * 1024
_SERVING = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_NOT_FOUND = 5
# https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
_STATUSES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)


@attrs.frozen(kw_only=True)
class Grpc(Connecting):
    """Ask for the health of a gRPC service; up when it is SERVING, or whatever `expect` says."""

    schemes: ClassVar[tuple[str, ...]] = ("grpc", "grpcs")
    own_task: ClassVar[bool] = False
    phases_metric: ClassVar[str] = "probe_grpc_duration_seconds"
    facts: ClassVar[Mapping[str, Fact] | None] = {
        **CONNECTION_FACTS,
        "tls_version": attrs.evolve(
            CONNECTION_FACTS["tls_version"],
            metrics=(
                *CONNECTION_FACTS["tls_version"].metrics,
                Metric("probe_grpc_ssl", "Whether the call went over TLS.", lambda _: 1, default=0),
            ),
        ),
        "serving_status": Fact(
            "SERVING",
            "SERVING, NOT_SERVING, UNKNOWN or SERVICE_UNKNOWN; absent where the call failed",
            metrics=(
                Metric("probe_grpc_healthcheck_response", "What the service answered.", str, label="serving_status"),
            ),
        ),
        "grpc_status": Fact(
            0,
            "how the call ended, 0 is OK",
            metrics=(Metric("probe_grpc_status_code", "How the call ended, as a status code of gRPC."),),
        ),
        "grpc_message": Fact("not now", "what the server said of a call that failed"),
    }

    url: str = check_option(doc="grpcs://example.org, or grpc:// for a server without TLS", validator=grpc_url)
    tls: bool = check_option(default=False, doc="speak TLS with grpc://, too")
    service: str = check_option(default="", doc="the service to ask about; default: the server as a whole")
    metadata: dict[str, str] = check_option(
        factory=dict, doc="metadata to send", validator=metadata, secret=named_secrets
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.url.startswith("grpc:") and not port_of(self.url):
            raise OptionError("url", 'expected a port, as in "grpc://example.org:50051"')

    async def probe(self, probe: Probe) -> Verdict:
        """Call, and judge what the server answers."""
        transport = probe.transport(
            tls=self.tls_setting, addressing=self.addressing, body_limit=_BODY_LIMIT, http2_only=True
        )
        answer = await transport.exchange(self._request())
        try:
            message = await answer.read()
            status, text = _ended(answer)
        finally:
            answer.close()
        probe.facts["grpc_status"] = status
        if status not in (0, _NOT_FOUND):
            return self._failed(probe, status, text)
        serving = _serving(message) if status == 0 else "SERVICE_UNKNOWN"
        probe.facts["serving_status"] = serving
        if serving != "SERVING" and not probe.expects("serving_status"):
            return Verdict.down(f"expected SERVING, got {serving}", phase="processing")
        return self.verdict(probe)

    def _failed(self, probe: Probe, status: int, text: str) -> Verdict:
        if text:
            probe.facts["grpc_message"] = text
        if probe.expects("grpc_status"):
            return self.verdict(probe)
        name = _STATUSES[status] if status < len(_STATUSES) else "an unknown status"
        return Verdict.down(
            f"the call failed with {name} ({status}){f': {text}' if text else ''}",
            code=Code.PROTOCOL,
            phase="processing",
        )

    @property
    def _alpn(self) -> tuple[str, ...]:
        return ("h2",)

    def _request(self) -> httpx.Request:
        import httpx  # noqa: PLC0415 - only who probes needs it

        return httpx.Request("POST", self._place, headers=self._headers, content=_framed(self.service))

    @cached_property
    def _place(self) -> str:
        parts = urlsplit(self.url)
        return f"{'https' if self.tls or parts.scheme == 'grpcs' else 'http'}://{parts.netloc}{_METHOD}"

    @cached_property
    def _headers(self) -> list[tuple[str, str]]:
        own = [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", USER_AGENT)]
        return [*own, *((name.lower(), value) for name, value in self.metadata.items())]


def _framed(service: str) -> bytes:
    """A HealthCheckRequest: `string service = 1`, its length before it, and a byte that says it is not compressed."""
    name = service.encode("utf-8")
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _varint(number: int) -> bytes:
    """https://protobuf.dev/programming-guides/encoding/."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _ended(answer: Answer) -> tuple[int, str]:
    """How the call ended: status and message, from the trailers, or from the head where there is nothing else."""
    head = dict(answer.headers)
    if answer.status != 200:
        _refuse(f"expected the HTTP status 200 of a gRPC server, got {answer.status}")
    kind = head.get(b"content-type", b"").decode("latin-1")
    if not kind.startswith("application/grpc"):
        _refuse(f'expected the content-type "application/grpc", got "{kind}"')
    ending = dict(answer.trailers) or head
    status = ending.get(b"grpc-status", b"")
    if not status.isdigit() or len(status) > 9:
        _refuse("the server ended the call without a status")
    return int(status), unquote(ending.get(b"grpc-message", b"").decode("latin-1"), errors="replace")


def _serving(body: bytes) -> str:
    """What a HealthCheckResponse says: `ServingStatus status = 1`; zero is not sent."""
    size = int.from_bytes(body[1:5], "big")
    message = body[5:]
    if len(body) < 5 or body[0] != 0 or len(message) != size:
        _refuse("the server's answer is not one message of gRPC")
    if not message:
        return _SERVING[0]
    if len(message) != 2 or message[0] != 0x08 or message[1] not in _SERVING:
        _refuse("the server's answer is no HealthCheckResponse")
    return _SERVING[message[1]]


def _refuse(text: str) -> NoReturn:
    raise ProbeError(Reason(Code.PROTOCOL, "transfer", text))

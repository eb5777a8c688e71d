"""The grpc check: against the real grpcio, in the clear and over TLS; against servers that are none, or mean harm."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from support.http2 import (
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    RST_STREAM,
    STATUS_200,
    Http2Server,
    Says,
    Visitor,
    frame,
    goaway,
    says_no_more,
    sends,
    serve_http2,
)
from support.probes import answers, http, serve
from support.probes import look_calmly as look
from test_tls import CA, ca_file, context, serve_tls

from checks.grpc import Grpc
from monitor.declaring import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trio
    from support.http2 import Hostile

    from monitor.core.model import Observation
__all__ = ["ca_file"]  # a fixture

STATUS = health_pb2.HealthCheckResponse


class Refuses(health_pb2_grpc.HealthServicer):
    """A service that fails each call in a way of its own, by the name that is asked for."""

    def Check(self, request: Any, call: Any) -> Any:  # noqa: N802 - grpcio's name
        if request.service == "who":
            seen = dict(call.invocation_metadata())
            call.abort(grpc.StatusCode.PERMISSION_DENIED, f"{seen['authorization']} {seen['user-agent'].split('/')[0]}")
        call.abort(grpc.StatusCode[request.service], "not now: 100 % é")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, int]]:
    """Ports: one that serves, in the `clear` and over `tls`; one that `refuses`, one `without` the health service."""
    ports, running = {}, []
    serving = health.HealthServicer()
    for name in ("SERVING", "NOT_SERVING", "UNKNOWN"):
        serving.set(name, STATUS.ServingStatus.Value(name))
    serving.set("n" * 300, STATUS.SERVING)
    certificate = CA.issue_cert("127.0.0.1")
    key, chain = certificate.private_key_pem.bytes(), b"".join(each.bytes() for each in certificate.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(key, chain)])
    for name, servicer in (("clear", serving), ("refuses", Refuses()), ("without", None)):
        server = grpc.server(ThreadPoolExecutor(1))
        if servicer is not None:
            health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        ports[name] = server.add_insecure_port("127.0.0.1:0")
        if name == "clear":
            ports["tls"] = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        running.append(server)
    yield ports
    for server in running:
        server.stop(None).wait()


def told(seen: Observation) -> tuple[str, str, str]:
    return str(seen.status), str(seen.reason.code), seen.reason.message


async def asked(port: int, service: str = "", *, expect: tuple[str, ...] = (), **options: Any) -> Observation:
    return await look(Grpc(url=f"grpc://127.0.0.1:{port}", service=service, **options), expect=expect)


@pytest.mark.parametrize(
    ("service", "serving", "status", "message"),
    [
        ("", "SERVING", "up", ""),
        ("SERVING", "SERVING", "up", ""),
        ("n" * 300, "SERVING", "up", ""),
        ("NOT_SERVING", "NOT_SERVING", "down", "expected SERVING, got NOT_SERVING"),
        ("UNKNOWN", "UNKNOWN", "down", "expected SERVING, got UNKNOWN"),
        ("nobody", "SERVICE_UNKNOWN", "down", "expected SERVING, got SERVICE_UNKNOWN"),
    ],
)
async def test_what_a_service_says(
    servers: dict[str, int], service: str, serving: str, status: str, message: str
) -> None:
    seen = await asked(servers["clear"], service)
    assert told(seen) == (status, "expectation" if message else "ok", message)
    assert (seen.facts["serving_status"], seen.facts["grpc_status"]) == (serving, 5 if service == "nobody" else 0)
    assert list(seen.phases) == ["resolve", "connect", "processing", "transfer"]
    if message:
        assert (await asked(servers["clear"], service, expect=(f"serving_status == '{serving}'",))).status == "up"


async def test_over_tls(servers: dict[str, int], ca_file: Path) -> None:
    url = f"grpcs://127.0.0.1:{servers['tls']}"
    seen = await look(Grpc(url=url, ca_file=ca_file))
    assert told(seen) == ("up", "ok", "")
    assert seen.facts["tls_version"] == "1.3"
    assert (await look(Grpc(url=url))).reason.code == "tls"
    clear = await look(Grpc(url=f"grpc://127.0.0.1:{servers['tls']}"), timeout=3)
    assert clear.status == "down"


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ("UNAVAILABLE", "the call failed with UNAVAILABLE (14): not now: 100 % é"),
        ("UNAUTHENTICATED", "the call failed with UNAUTHENTICATED (16): not now: 100 % é"),
        ("INTERNAL", "the call failed with INTERNAL (13): not now: 100 % é"),
        ("who", "the call failed with PERMISSION_DENIED (7): Bearer x nursery-monitor"),
    ],
)
async def test_calls_that_fail(servers: dict[str, int], service: str, message: str) -> None:
    seen = await asked(servers["refuses"], service, metadata={"Authorization": "Bearer x"})
    assert told(seen) == ("down", "protocol", message)
    assert "serving_status" not in seen.facts
    number = seen.facts["grpc_status"]
    wanted = await asked(
        servers["refuses"], service, metadata={"Authorization": "x"}, expect=(f"grpc_status == {number}",)
    )
    assert wanted.status == "up", wanted.reason


async def test_a_server_without_the_health_service(servers: dict[str, int]) -> None:
    seen = await asked(servers["without"])
    assert told(seen) == ("down", "protocol", "the call failed with UNIMPLEMENTED (12): Method not found!")


async def test_nobody_and_http_1(nursery: trio.Nursery, ca_file: Path) -> None:
    assert told(await asked(1)) == ("down", "connect", "connection refused (127.0.0.1:1)")
    old = await serve(nursery, answers(http(400)))
    assert told(await asked(old)) == ("down", "protocol", "not a valid HTTP/2 answer: it is HTTP/1")
    secure = await serve_tls(nursery, context())
    seen = await look(Grpc(url=f"grpcs://127.0.0.1:{secure}", ca_file=ca_file))
    assert told(seen) == ("down", "protocol", "the server does not speak HTTP/2: it did not agree to it (ALPN)")


SERVING = b"\0\0\0\0\2\x08\1"
GRPC = {"content-type": "application/grpc"}
OK = {"grpc-status": "0"}


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (Says(404, b"what?"), "expected the HTTP status 200 of a gRPC server, got 404"),
        (Says(200, b"<html>", {"content-type": "text/html"}),
         'expected the content-type "application/grpc", got "text/html"'),
        (Says(200, SERVING, GRPC), "the server ended the call without a status"),
        (Says(200, SERVING, GRPC, {"grpc-status": "x"}), "the server ended the call without a status"),
        (Says(200, SERVING, GRPC, {"grpc-status": "-1"}), "the server ended the call without a status"),
        (Says(200, b"", GRPC, OK), "the server's answer is not one message of gRPC"),
        (Says(200, SERVING[:4], GRPC, OK), "the server's answer is not one message of gRPC"),
        (Says(200, SERVING[:-1], GRPC, OK), "the server's answer is not one message of gRPC"),
        (Says(200, SERVING * 2, GRPC, OK), "the server's answer is not one message of gRPC"),
        (Says(200, b"\1" + SERVING[1:], GRPC, OK), "the server's answer is not one message of gRPC"),
        (Says(200, SERVING[:-1] + b"\x09", GRPC, OK), "the server's answer is no HealthCheckResponse"),
        (Says(200, b"\0\0\0\0\3abc", GRPC, OK), "the server's answer is no HealthCheckResponse"),
        (Says(200, b"", GRPC, {"grpc-status": "99"}), "the call failed with an unknown status (99)"),
    ],
)  # fmt: skip
async def test_answers_that_are_none(nursery: trio.Nursery, ca_file: Path, says: Says, message: str) -> None:
    port = await serve_http2(nursery, context(), Http2Server(says))
    seen = await look(Grpc(url=f"grpcs://127.0.0.1:{port}", ca_file=ca_file))
    assert told(seen) == ("down", "protocol", message)


async def test_an_answer_by_hand(nursery: trio.Nursery, ca_file: Path) -> None:
    server = Http2Server(Says(200, SERVING, {"content-type": "application/grpc+proto"}, OK))
    port = await serve_http2(nursery, context(), server)
    seen = await look(Grpc(url=f"grpcs://127.0.0.1:{port}", ca_file=ca_file, service="é"))
    assert seen.status == "up", seen.reason
    (heard,) = server.heard
    assert health_pb2.HealthCheckRequest.FromString(heard.body[5:]).service == "é"
    expected = {b":path": b"/grpc.health.v1.Health/Check", b"te": b"trailers", b"content-type": b"application/grpc"}
    assert expected.items() <= heard.headers.items()


HEAD = frame(HEADERS, STATUS_200, flags=END_HEADERS, stream=1)


@pytest.mark.parametrize(
    ("handler", "code", "message"),
    [
        (says_no_more(), "protocol", "the server closed the connection without an answer"),
        (sends(goaway(0, 11)), "protocol", "the server does not go on with the connection (ENHANCE_YOUR_CALM)"),
        (sends(frame(RST_STREAM, b"\0\0\0\7", stream=1)), "protocol", "the server broke off the stream"),
        (sends(flood=frame(PING, bytes(8))), "limit", "too many frames"),
        (sends(HEAD, flood=frame(DATA, b"x" * 1000, stream=1)), "limit", "body is larger than 16 KiB"),
        (sends(frame(HEADERS, STATUS_200, stream=1), flood=frame(9, b"x" * 8000, stream=1)), "limit",
         "headers are larger"),
        (sends(HEAD), "timeout", "no answer within 300 ms (during transfer)"),
        (sends(), "timeout", "no answer within 300 ms (during processing)"),
    ],
)  # fmt: skip
async def test_servers_that_mean_harm(nursery: trio.Nursery, handler: Hostile, code: str, message: str) -> None:
    async def in_the_clear(stream: trio.SocketStream) -> None:
        try:
            await handler(Visitor(stream))
        except EOFError:
            return

    port = await serve(nursery, in_the_clear)
    seen = await look(Grpc(url=f"grpc://127.0.0.1:{port}"), timeout=0.3 if code == "timeout" else 20)
    assert (seen.status, seen.reason.code) == ("down", code), seen.reason
    assert seen.reason.message.startswith(message)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"url": "grpc://127.0.0.1"}, "url"),
        ({"url": "https://127.0.0.1"}, "url"),
        ({"url": "grpcs://127.0.0.1/x"}, "url"),
        ({"url": "grpcs://127.0.0.1", "metadata": {"te": "x"}}, "metadata"),
        ({"url": "grpcs://127.0.0.1", "metadata": {"a": "x\ny"}}, "metadata"),
    ],
)
def test_what_cannot_be_is_a_mistake_of_the_config(options: dict[str, Any], option: str) -> None:
    with pytest.raises(OptionError) as caught:
        Grpc(**options)
    assert caught.value.option == option

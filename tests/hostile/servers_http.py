"""What an HTTP server can do to a client, and what the http check must make of it.

Decided here, where the specifications leave room: 204 and 304 have no body, so bytes after their head are bytes after
the end of the answer (`protocol`), as a second answer nobody asked for is; a status llhttp can read is judged as a
status, 999 too; HTTP/0.9, ICY, RTSP and whatever does not begin with `HTTP/1.` is not an HTTP answer.
"""

from __future__ import annotations

import gzip
import itertools
import zlib
from typing import TYPE_CHECKING

import trio
from support.probes import answers, http, read_request

from hostile.rows import OK, Row, at_once, deaf, ending, mute, reset, row, then_drip, then_flood

if TYPE_CHECKING:
    from hostile.rows import Handler

HEAD = b"HTTP/1.1 200 X\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PROCESSING, TRANSFER = "processing", "transfer"
CROWDED = "limit/timeout"  # a flood that shares the loop with others may meet its deadline before its limit


def packed(body: bytes, coding: str = "gzip") -> bytes:
    """A whole answer with *body*, which is encoded already."""
    return http(200, body, f"Content-Encoding: {coding}")


def bomb(size: int) -> bytes:
    """*size* zeros as gzip without a checksum: a full flush lets the packer begin anew, so one piece serves for all."""
    packer = zlib.compressobj(9, wbits=31)
    first, piece = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + piece * (size >> 20) + packer.flush()


def to(location: bytes, body: bytes = b"", *headers: str) -> bytes:
    """A redirect to *location*, with whatever bytes it has."""
    lines = "".join(f"{line}\r\n" for line in headers).encode()
    return b"HTTP/1.1 302 X\r\nContent-Length: %d\r\nLocation: %s\r\n%s\r\n%s" % (len(body), location, lines, body)


def paths(**pages: bytes) -> Handler:
    """An answer for each path: `home` for `/`; the last is for all others."""

    async def handler(stream: trio.SocketStream) -> None:
        path = (await read_request(stream)).split(b" ")[1].decode().strip("/") or "home"
        await stream.send_all(pages.get(path) or next(reversed(pages.values())))

    return handler


async def chain(stream: trio.SocketStream) -> None:
    """Redirect to the next number, for ever."""
    number = int((await read_request(stream)).split(b" ")[1].strip(b"/") or b"0")
    await stream.send_all(to(b"/%d" % (number + 1)))


async def slow_chain(stream: trio.SocketStream) -> None:
    """The same, and take time over each hop."""
    await trio.sleep(0.3)
    await chain(stream)


def cut(answer: bytes, at: int, then: str) -> Handler:
    """Send *at* bytes of *answer*, let them arrive, and end with FIN or RST."""

    async def handler(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(answer[:at])
        await trio.sleep(0.05)  # a reset overtakes what is still under way
        await ending(stream, then)

    return handler


async def reset_at_once(stream: trio.SocketStream) -> None:
    """Accept and reset, having read nothing."""
    reset(stream)


async def answers_early(stream: trio.SocketStream) -> None:
    """Refuse a large request before it has come, and close with it unread."""
    await stream.receive_some(1000)
    await stream.send_all(http(413))
    await stream.send_eof()
    await ending(stream, "hold")


def header(line: bytes) -> Handler:
    """A good answer with one more header line."""
    return answers(HEAD + b"Content-Length: 2\r\n" + line + b"\r\n\r\nok")


def framed(lines: bytes, body: bytes = b"ok") -> Handler:
    """An answer whose framing headers are *lines*."""
    return answers(HEAD + lines + b"\r\n\r\n" + body)


def started(line: bytes, *headers: bytes, body: bytes = b"") -> Handler:
    """An answer with this status line."""
    return answers(b"\r\n".join([line, b"Content-Length: %d" % len(body), *headers, b"", body]))


GOOD = http(200, b"x" * 100)
COOKIES = b"".join(b"Set-Cookie: c%d=%s\r\n" % (number, b"v" * 8) for number in range(2000))
MANY_MEMBERS = gzip.compress(b"") * 50_000
DEEP = b"[" * 500_000
WIDE = b"[" + b"1," * 200_000 + b"1]"

SLOW = [
    row("drips its body", then_drip(HEAD + b"Content-Length: 9999\r\n\r\n", b"x"), "timeout", TRANSFER),
    row("drips chunks", then_drip(CHUNKED, b"1\r\nx\r\n"), "timeout", TRANSFER),
    row("drips headers", then_drip(HEAD, b"a: b\r\n"), "timeout", TRANSFER),
    row("drips one header", then_drip(HEAD + b"a: ", b"x"), "timeout", TRANSFER),
    row("drips trailers", then_drip(CHUNKED + b"0\r\n", b"a: b\r\n"), "timeout", TRANSFER),
    row("drips 1xx", then_drip(b"", b"HTTP/1.1 102 X\r\n\r\n", pause=0.5), "timeout", TRANSFER),
    row("drips gzip", then_drip(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x")[:10], b"\0\0\0\xff\xff"),
        "timeout", TRANSFER),
    row("accepts and is silent", mute, "timeout", PROCESSING),
    row("accepts and reads nothing", deaf, "timeout", PROCESSING),
    row("reads nothing of a large request", deaf, "timeout", PROCESSING,
        options={"method": "POST", "body": "x" * 9_000_000}),
    row("stalls in the status line", answers(b"HTTP/1.1 2", then="hold"), "timeout", TRANSFER),
    row("stalls in the headers", answers(HEAD + b"A", then="hold"), "timeout", TRANSFER),
    row("stalls before the body", answers(HEAD + b"Content-Length: 1\r\n\r\n", then="hold"), "timeout", TRANSFER),
    row("stalls in the body", answers(GOOD[:-1], then="hold"), "timeout", TRANSFER),
    row("stalls in a chunk's size", answers(CHUNKED + b"f", then="hold"), "timeout", TRANSFER),
    row("stalls in a chunk", answers(CHUNKED + b"f\r\nx", then="hold"), "timeout", TRANSFER),
    row("stalls before the last chunk", answers(CHUNKED + b"1\r\nx\r\n", then="hold"), "timeout", TRANSFER),
    row("stalls after 100 Continue", answers(b"HTTP/1.1 100 X\r\n\r\n", then="hold"), "timeout", TRANSFER),
    row("never ends a body without length", answers(HEAD + b"\r\nok", then="hold"), "timeout", TRANSFER),
    row("slow chain of redirects", slow_chain, "timeout", PROCESSING, options={"max_redirects": 1000}),
    row("hangs up after a redirect", paths(home=to(b"/next"), next=b"HTTP/1.1 20"), "protocol", PROCESSING),
]  # fmt: skip

FLOODS = [
    row("flood of 1xx", then_flood(b"", b"HTTP/1.1 103 X\r\n\r\n" * 999), "limit", PROCESSING),
    row("1xx with endless headers", then_flood(b"HTTP/1.1 103 X\r\n", b"a: b\r\n" * 999), "limit", PROCESSING),
    row("flood of one-byte chunks", then_flood(CHUNKED, b"1\r\nx\r\n" * 9999), CROWDED, TRANSFER),
    row("flood of two-byte chunks", then_flood(CHUNKED, b"2\r\nxy\r\n" * 9999), CROWDED, TRANSFER),
    row("flood of chunk extensions", then_flood(CHUNKED + b"1;", b"a=b;" * 9999), CROWDED, TRANSFER),
    row("flood of chunks with extensions", then_flood(CHUNKED, b"1;" + b"x" * 9999 + b"\r\nx\r\n"), CROWDED, TRANSFER),
    row("flood of trailers", then_flood(CHUNKED + b"0\r\n", b"a: b\r\n" * 9999), "limit", TRANSFER),
    row("one endless trailer", then_flood(CHUNKED + b"0\r\na: ", b"x" * 65536), "limit", TRANSFER),
    row("flood of headers", then_flood(HEAD, b"a: b\r\n" * 999), "limit", PROCESSING),
    row("one endless header", then_flood(HEAD + b"a: ", b"x" * 65536), "limit", PROCESSING),
    row("one endless header name", then_flood(HEAD, b"x" * 65536), "limit", PROCESSING),
    row("endless reason phrase", then_flood(b"HTTP/1.1 200 ", b"x" * 65536), "limit", PROCESSING),
    row("endless blank lines", then_flood(b"", b"\r\n" * 9999), "limit", PROCESSING),
    row("headers over 64 KiB", header(b"A: " + b"x" * 66_000), "limit", PROCESSING),
    row("10 GB announced and sent", then_flood(HEAD + b"Content-Length: 10000000000\r\n\r\n", bytes(65536)),
        "limit", TRANSFER),
    row("endless body", then_flood(HEAD + b"\r\n", bytes(65536)), "limit", TRANSFER),
    row("one endless chunk", then_flood(CHUNKED + b"ffffffff\r\n", bytes(65536)), "limit", TRANSFER),
    row("endless empty gzip members", then_flood(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 3000),
        "limit", TRANSFER),
    row("gzip of 50,000 empty members", answers(packed(MANY_MEMBERS)), "limit", TRANSFER),
    row("gzip bomb of 1 GB", answers(packed(bomb(1 << 30))), "limit", TRANSFER),
    row("gzip bomb in a gzip bomb", answers(packed(gzip.compress(bomb(1 << 28)), "gzip, gzip")), "limit", PROCESSING),
    row("deflate bomb", answers(packed(zlib.compress(bytes(50_000_000), 9), "deflate")), "limit", TRANSFER),
    row("gzip bomb in a redirect's body", paths(home=to(b"/next", bomb(1 << 28), "Content-Encoding: gzip"),
                                                next=http(200, b"ok")), OK),
    row("endless body of a redirect", then_flood(b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", bytes(65536)),
        "limit", PROCESSING),
    row("JSON 500,000 deep", answers(http(200, DEEP)), "limit", TRANSFER, expect=("json == 1",)),
    row("JSON of 200,000 values", answers(http(200, WIDE)), "limit", TRANSFER, expect=("json == 1",)),
    row("JSON number of a million digits", answers(http(200, b"1" * 1_000_000)), "expectation", None,
        expect=("json == 1",)),
    row("a body that is hard on regular expressions", answers(http(200, b"a" * 100_000)), "expectation", None,
        expect=("body.matches('(a+)+$b')",)),
    row("2,000 cookies", header(COOKIES[:-2]), OK),
]  # fmt: skip

BROKEN = [
    row("truncated gzip", answers(packed(gzip.compress(bytes(range(256)) * 99)[:-20])), "protocol", TRANSFER),
    row("gzip without its checksum", answers(packed(gzip.compress(b"ok")[:-8])), "protocol", TRANSFER),
    row("gzip with a wrong checksum", answers(packed(gzip.compress(b"ok")[:-8] + bytes(8))), "protocol", TRANSFER),
    row("plain text said to be gzip", answers(packed(b"plain")), "protocol", TRANSFER),
    row("brotli", answers(packed(b"x", "br")), "limit", PROCESSING),
    row("zstd", answers(packed(b"x", "zstd")), "limit", PROCESSING),
    row("short body", answers(GOOD[:-1]), "protocol", TRANSFER),
    row("chunks without an end", answers(CHUNKED + b"1\r\nx\r\n"), "protocol", TRANSFER),
    row("chunk size that is no number", answers(CHUNKED + b"zz\r\n"), "protocol", TRANSFER),
    row("chunk size beyond 64 bits", answers(CHUNKED + b"f" * 17 + b"\r\n"), "protocol", TRANSFER),
    row("chunk longer than it says", answers(CHUNKED + b"1\r\nxyz\r\n0\r\n\r\n"), "protocol", TRANSFER),
    row("smuggled second answer", answers(http(200, b"ok") + http(200, b"evil")), "protocol", TRANSFER),
    row("smuggled second answer after chunks", answers(CHUNKED + b"0\r\n\r\n" + GOOD), "protocol", TRANSFER),
    row("longer body than it says", answers(http(200, b"ok") + b"and more"), "protocol", TRANSFER),
    row("a line break after the answer", answers(http(200, b"ok") + b"\r\n"), OK),
    row("204 with a body", answers(b"HTTP/1.1 204 X\r\n\r\nbody"), "protocol", TRANSFER),
    row("304 with a body", answers(b"HTTP/1.1 304 X\r\nContent-Length: 4\r\n\r\nbody"), "protocol", TRANSFER),
    row("CL and TE", framed(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"), "protocol", PROCESSING),
    row("TE and CL", framed(b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"0\r\n\r\n"), "protocol", PROCESSING),
    row("two equal CL", framed(b"Content-Length: 2\r\nContent-Length: 2"), "protocol", PROCESSING),
    row("two different CL", framed(b"Content-Length: 2\r\nContent-Length: 3"), "protocol", PROCESSING),
    row("negative CL", framed(b"Content-Length: -2"), "protocol", PROCESSING),
    row("CL beyond 64 bits", framed(b"Content-Length: 99999999999999999999999"), "protocol", PROCESSING),
    row("CL that is no number", framed(b"Content-Length: two"), "protocol", PROCESSING),
    row("CL as a list", framed(b"Content-Length: 2, 2"), "protocol", PROCESSING),
    row("NUL in a header", header(b"A: b\0c"), "protocol", PROCESSING),
    row("CR in a header", header(b"A: b\rc"), "protocol", PROCESSING),
    row("control character in a header", header(b"A: b\x01c"), "protocol", PROCESSING),
    row("0xFF in a header", header(b"A: b\xffc"), OK),
    row("0xFF in a header's name", header(b"A\xff: b"), "protocol", PROCESSING),
    row("space before the colon", header(b"A : b"), "protocol", PROCESSING),
    row("a header without a name", header(b": b"), "protocol", PROCESSING),
    row("a folded header", header(b"A: b\r\n c"), "protocol", PROCESSING),
    row("line feeds alone", answers(b"HTTP/1.1 200 X\nContent-Length: 0\n\n"), "protocol", PROCESSING),
    row("HTTP/1.0", answers(b"HTTP/1.0 200 X\r\n\r\nok"), OK),
    row("HTTP/0.9", answers(b"<html>ok</html>"), "protocol", PROCESSING),
    row("HTTP/0.9 in a status line", started(b"HTTP/0.9 200 OK"), "protocol", PROCESSING),
    row("HTTP/2.0 in a status line", started(b"HTTP/2.0 200 OK"), "protocol", PROCESSING),
    row("HTTP/2 preface", at_once(b"\0\0\x12\x04\0\0\0\0\0" + bytes(18)), "protocol", PROCESSING),
    row("HTTP/7.7", started(b"HTTP/7.7 200 OK"), "protocol", PROCESSING),
    row("ICY", started(b"ICY 200 OK"), "protocol", PROCESSING),
    row("RTSP", started(b"RTSP/1.0 200 OK"), "protocol", PROCESSING),
    row("SSH banner", at_once(b"SSH-2.0-OpenSSH_9.2p1\r\n", then="hold"), "protocol", PROCESSING),
    row("SMTP banner", at_once(b"220 mail ESMTP\r\n", then="hold"), "protocol", PROCESSING),
    row("TLS on the plain port", at_once(b"\x15\x03\x03\0\x02\x02\x46"), "protocol", PROCESSING),
    row("random bytes", at_once(bytes(range(255, -1, -1)) * 99), "protocol", PROCESSING),
    row("answers before it is asked", at_once(http(200, b"ok"), then="hold"), OK),
    row("status 99", started(b"HTTP/1.1 99 X"), "protocol", PROCESSING),
    row("status 000", started(b"HTTP/1.1 000 X"), "expectation", PROCESSING),
    row("status 999", started(b"HTTP/1.1 999 X"), "expectation", PROCESSING),
    row("status 1000", started(b"HTTP/1.1 1000 X"), "protocol", PROCESSING),
    row("status -1", started(b"HTTP/1.1 -1 X"), "protocol", PROCESSING),
    row("no status", started(b"HTTP/1.1 OK"), "protocol", PROCESSING),
    row("no reason phrase", started(b"HTTP/1.1 200", body=b"ok"), OK),
    row("unsolicited 101", started(b"HTTP/1.1 101 X", b"Connection: upgrade", b"Upgrade: h2c"), "protocol", PROCESSING),
    row("101 without upgrade", started(b"HTTP/1.1 101 X"), "protocol", PROCESSING),
    row("unknown charset", started(b"HTTP/1.1 200 X", b"Content-Type: text/plain; charset=\xff\0".strip(b"\0"),
                                   body=b"\xff\xfe"), OK, expect=("body.size() > 0",)),
    row("charset idna", started(b"HTTP/1.1 200 X", b"Content-Type: text/plain; charset=idna", body=b"\xff" * 9999),
        OK, expect=("body.size() > 0",)),
    row("charset unicode_escape", started(b"HTTP/1.1 200 X", b"Content-Type: text/html; charset=unicode_escape",
                                          body=b"\\N{" * 9999), OK, expect=("body.size() > 0",)),
    row("charset zip", started(b"HTTP/1.1 200 X", b"Content-Type: text/plain; charset=zip", body=b"x"), OK,
        expect=("body == 'x'",)),
    row("lone surrogates in JSON", answers(http(200, b'{"a": "\\ud800"}')), "expectation", None,
        expect=("json.a == 'x'",)),
]  # fmt: skip

ENDS = [
    row("FIN at once", at_once(), "protocol/connect", PROCESSING),
    row("RST at once", reset_at_once, "connect"),
    row("FIN after the request", answers(), "protocol", PROCESSING),
    row("RST after the request", answers(then="reset"), "connect", PROCESSING),
    row("FIN in the status line", cut(GOOD, 9, "close"), "protocol", PROCESSING),
    row("RST in the status line", cut(GOOD, 9, "reset"), "connect", TRANSFER),
    row("FIN in the headers", cut(GOOD, 20, "close"), "protocol", PROCESSING),
    row("RST in the headers", cut(GOOD, 20, "reset"), "connect", TRANSFER),
    row("FIN in the body", cut(GOOD, len(GOOD) - 9, "close"), "protocol", TRANSFER),
    row("RST in the body", cut(GOOD, len(GOOD) - 9, "reset"), "connect", TRANSFER),
    row("RST in a body without length", cut(HEAD + b"\r\nok", 99, "reset"), "connect", TRANSFER),
    row("FIN in the chunks", cut(CHUNKED + b"9\r\nxx", 99, "close"), "protocol", TRANSFER),
    row("RST after a whole answer", answers(GOOD, then="reset"), OK),
    row("refuses a large request early", answers_early, "expectation", PROCESSING,
        options={"method": "POST", "body": "x" * 3_000_000}),
]  # fmt: skip

_METADATA = ("169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[fd00:ec2::254]", "[fe80::1]",
             "[::ffff:169.254.169.254]", "[::169.254.169.254]", "[64:ff9b::169.254.169.254]",
             "[64:ff9b:1::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[2001:0:5db8:1::5601:5601]",
             "2852039166", "0xa9fea9fe")  # fmt: skip

REDIRECTS = [
    row("redirect loop", answers(to(b"/")), "limit", PROCESSING),
    row("redirect loop of two", paths(home=to(b"/a"), a=to(b"/")), "limit", PROCESSING),
    row("endless chain", chain, "limit", PROCESSING),
    row("empty Location", answers(to(b"")), "expectation", PROCESSING),
    row("Location data:", answers(to(b"data:text/html,ok")), "policy", PROCESSING),
    row("Location file:", answers(to(b"file:///etc/passwd")), "policy", PROCESSING),
    row("Location javascript:", answers(to(b"javascript:alert(1)")), "policy", PROCESSING),
    row("Location gopher:", answers(to(b"gopher://127.0.0.1:25/x")), "policy", PROCESSING),
    row("Location of 7 kB", paths(home=to(b"/" + b"x" * 7000), other=http(200)), OK),
    row("Location of 60 kB", answers(to(b"/" + b"x" * 60_000)), "limit", PROCESSING),
    row("Location of 70 kB", answers(to(b"/" + b"x" * 70_000)), "limit", PROCESSING),
    row("Location with bad brackets", answers(to(b"http://[::1/")), "protocol", PROCESSING),
    row("Location with a bad port", answers(to(b"http://127.0.0.1:99999/")), "protocol", PROCESSING),
    row("Location without a host", answers(to(b"http:///x")), "protocol/limit", PROCESSING),
    row("Location with an impossible host", answers(to(b"http://" + b"a" * 300 + b"/")), "protocol/dns", None),
    row("Location of 0xFF", answers(to(b"http://\xff\xfe/")), "protocol/dns", None),
    row("Location with a tab", answers(to(b"/a\tb")), "protocol", PROCESSING),
    row("Location with credentials", answers(to(b"http://a:b@127.0.0.1/")), "policy", PROCESSING),
    row("Location with an octal address", answers(to(b"http://0251.0376.0251.0376/")), "protocol", PROCESSING),
    row("two Locations", answers(to(b"file:///a", b"", "Location: /b")), "policy", PROCESSING),
    row("to a closed port", answers(to(b"http://127.0.0.1:1/")), "connect", "connect"),
    *(row(f"to metadata at {host}", answers(to(f"http://{host}/".encode())), "policy", None) for host in _METADATA),
]  # fmt: skip

ROWS: list[Row] = list(itertools.chain(SLOW, FLOODS, BROKEN, ENDS, REDIRECTS))

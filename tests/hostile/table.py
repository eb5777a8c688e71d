"""The whole table, and the healthy endpoint beside it."""

from __future__ import annotations

from support.probes import answers, http

from hostile import (
    servers_dns,
    servers_held,
    servers_http,
    servers_http2,
    servers_kinds,
    servers_names,
    servers_proxy,
    servers_tls,
    servers_ws,
)
from hostile.rows import OK, Row, row

ROWS: list[Row] = [
    *(*servers_http.ROWS, *servers_tls.ROWS, *servers_dns.ROWS, *servers_names.ROWS, *servers_ws.ROWS),
    *(*servers_held.ROWS, *servers_kinds.ROWS, *servers_http2.ROWS, *servers_proxy.ROWS),
]
HEALTHY = row("healthy", answers(http(200, b'{"db": "ok"}')), OK, host="healthy.test", expect=("json.db == 'ok'",))

"""Those who answer: nginx over HTTP and TLS, a WebSocket server; on loopback, on a core of their own, then gone."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import attrs
import trustme

from benchmarks.harness import ROOT, free_port, pinned, program, server_core
from benchmarks.peers.common import ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
_PATIENCE = 10.0  # seconds until a server must listen
_NGINX_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {directory}/server.pem;
    ssl_certificate_key {directory}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        listen 127.0.0.1:{https} ssl backlog=4096;
        location / {{ return 200 "{answer}"; }}
    }}
}}
"""


@attrs.frozen
class Servers:
    """Where they listen."""

    ca_file: Path
    http: int
    https: int
    websocket: int
    hostile: int
    no_tls: int

    @property
    def urls(self) -> dict[str, str]:
        """A URL for each scheme."""
        ports = {"http": self.http, "https": self.https, "ws": self.websocket}
        return {scheme: f"{scheme}://127.0.0.1:{port}/" for scheme, port in ports.items()}


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """Run them, their files in *directory*, all ready."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
        str(directory / "server.pem")
    )
    found = Servers(directory / "ca.pem", *(free_port() for _ in range(5)))
    config = directory / "nginx.conf"
    config.write_text(
        _NGINX_CONFIG.format(directory=directory, http=found.http, https=found.https, answer=ANSWER.decode())
    )
    with contextlib.ExitStack() as running:
        nginx = [NGINX or "nginx", "-p", str(directory), "-c", str(config)]
        running.enter_context(_running(nginx, found.http, found.https))
        running.enter_context(_running(program("websocket_server", found.websocket), found.websocket))
        misbehaving = program("hostile_server", found.hostile, found.no_tls)
        running.enter_context(_running(misbehaving, found.hostile, found.no_tls))
        yield found


@contextlib.contextmanager
def _running(command: Sequence[str], *ports: int) -> Iterator[None]:
    with pinned(server_core()):
        process = subprocess.Popen(command, cwd=ROOT)
    try:
        for port in ports:
            _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return

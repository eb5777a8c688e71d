"""The pages in a real browser: Chromium, driven by playwright, before the real daemon and a service that obeys us.

Synchronous, as playwright's sync API is: the daemon is a process, the service a thread.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 20_000  # milliseconds; only what fails needs them
LISTEN = """
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => {
        violations.push(`${event.violatedDirective} ${event.blockedURI}`);
    });
"""


@attrs.define
class Service:
    """A service to watch: it answers what it is told to."""

    port: int
    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b'{"db":"ok"}'

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def service() -> Iterator[Service]:
    """One on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(told.status)
            for name, value in {**told.headers, "content-length": str(len(told.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told = Service(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield told
        server.shutdown()
        thread.join()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Runs a daemon with the config it is given, on a port of its own; its URL."""
    running: list[subprocess.Popen[bytes]] = []

    def run(config: str) -> str:
        (tmp_path / "config.toml").write_text(config)
        with (tmp_path / "log").open("wb") as log:
            command = [sys.executable, "-m", "monitor", "run", "--listen", "127.0.0.1:0"]
            process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log)
        running.append(process)
        assert process.stdout is not None
        match = re.fullmatch(rb"ready: (http://\S+)\n", process.stdout.readline())
        assert match, (tmp_path / "log").read_text()
        return match[1].decode()

    yield run
    for process in running:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def chromium_path() -> str | None:
    """Where the system's Chromium is, if anywhere."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's."""
    path = chromium_path()
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a page in a context of its own. Whatever the page complains of, or its policy refuses, is an error."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(url: str, **settings: object) -> Page:
        wanted: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}, **settings}
        context = chromium.new_context(**wanted)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(LISTEN)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        assert page.goto(url).ok  # type: ignore[union-attr]
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            complaints += page.evaluate("window.violations ?? []")
        context.close()
    assert complaints == []

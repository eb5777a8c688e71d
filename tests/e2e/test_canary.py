"""Secrets appear nowhere (P17): one is planted in every place that takes one, everything is echoed, nothing shows.

Each secret has a core that no encoding changes but base64, and it is looked for in clear and in base64, at each of the
three places in which it may begin, in everything that the process tells anybody or writes anywhere.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from support.cli import monitor
from support.daemon import daemon, until
from support.loopback import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trio
    from support.daemon import Daemon

_TAIL = '/+ &=%"é'


def core(name: str) -> str:
    """What no encoding but base64 changes."""
    return f"zQ9{name}Kx7"


def planted(name: str, tail: str = _TAIL) -> str:
    """A secret for the place *name*, hard to mask."""
    return f"c4n{tail}{core(name)}{tail}ry"


TOKEN = "Mf2-" + core("token") + "-x"
SIGNING = "whsec_" + base64.b64encode(core("signing").encode() * 3).decode()
KEY = core("routing") * 2

CONFIG = """
[monitor]
listen = "127.0.0.1:0"
watch = false
sinks = ["hook"]
reference = ["http://127.0.0.1:{echo}/?token=${{REFERENCE}}"]
dead_man = "http://127.0.0.1:{echo}/alive?token=${{DEADMAN}}"
[monitor.access]
read_token = "{read}"
admin_token = {{ file = "admin" }}
[plugins.checks]
leaky = "leaky.py:Leaky"
[defaults]
interval = "500ms"
retry_interval = "100ms"
failure_threshold = 1
timeout = "5s"

[[endpoint]]
name = "basic"
url = "http://127.0.0.1:{echo}/?token=${{QUERY}}"
auth = {{ basic = {{ username = "user", password = '{basic}' }} }}
expect = ["body == 'x'"]
description = "told as ${{DESCRIPTION}}"
runbook = "https://wiki.example.org/?token=${{RUNBOOK}}"
[[endpoint]]
name = "basic base64"
url = "http://127.0.0.1:{echo}/"
auth = {{ basic = {{ username = "user", password = '{basic}' }} }}
expect = ["json.authorization == 'x'"]
[[endpoint]]
name = "digest"
url = "http://127.0.0.1:{echo}/digest"
auth = {{ digest = {{ username = "user", password = '{digest}' }} }}
expect = ["body == 'x'"]
[[endpoint]]
name = "bearer"
url = "http://127.0.0.1:{echo}/"
auth = {{ bearer = '{bearer}' }}
expect = ["json.authorization == 'x'"]
[[endpoint]]
name = "oauth2"
url = "http://127.0.0.1:{echo}/"
auth = {{ oauth2 = {{ token_url = "http://127.0.0.1:{echo}/refused", client_id = "id", client_secret = '{oauth}' }} }}
[[endpoint]]
name = "access token"
url = "http://127.0.0.1:{echo}/"
auth = {{ oauth2 = {{ token_url = "http://127.0.0.1:{echo}/token", client_id = "id", client_secret = '{oauth}' }} }}
expect = ["json.authorization == 'x'"]
[[endpoint]]
name = "headers"
url = "http://127.0.0.1:{echo}/status"
headers = {{ Authorization = "Bearer {header}", X-Api-Key = "{header}", X-Other = "${{HEADER}}" }}
expect = ["headers['x-echo'] == 'x'"]
[[endpoint]]
name = "password in the url"
url = "http://user:{url_password}@127.0.0.1:{echo}/"
expect = ["json.authorization == 'x'"]
[[endpoint]]
name = "body"
url = "http://127.0.0.1:{echo}/"
method = "POST"
json = {{ password = "${{BODY}}" }}
expect = ["json.body == 'x'"]
[[endpoint]]
name = "proxy"
url = "http://target.example.org/"
proxy = "http://user:{proxy}@127.0.0.1:{echo}"
expect = ["body == 'x'"]
[[endpoint]]
name = "redirect"
url = "http://127.0.0.1:{echo}/away?token=${{QUERY}}"
[[endpoint]]
name = "websocket"
url = "ws://127.0.0.1:{echo}/?token=${{QUERY}}"
headers = {{ Cookie = "session={cookie}" }}
[[endpoint]]
name = "tcp"
url = "tcp://127.0.0.1:{parrot}"
steps = [{{ send = "${{STEP}}\\r\\n" }}, {{ expect = "text == 'x'", within = "200ms" }}]
[[endpoint]]
name = "grpc"
url = "grpc://127.0.0.1:{echo}"
metadata = {{ authorization = "Bearer {metadata}" }}
[[endpoint]]
name = "exec"
check = "exec"
command = ["/bin/sh", "-c", 'echo "$PASSWORD"; echo "$PASSWORD" | base64; exit 2']
env = {{ PASSWORD = '{env}' }}
[[endpoint]]
name = "environment"
check = "exec"
command = ["/bin/sh", "-c", 'env > env.txt']
directory = "."
env = {{ PASSWORD = '{env}' }}
[[endpoint]]
name = "heartbeat"
check = "heartbeat"
token = "{token}"
grace = "0s"
[[endpoint]]
name = "leaky"
check = "leaky"
password = '{plugin}'
[[endpoint]]
name = "leaky crash"
check = "leaky"
password = '{plugin}'
crash = true

[[endpoint]]
name = "isolated"
check = "leaky"
password = '{plugin}'
isolation = "process"

[[sink]]
name = "hook"
type = "webhook"
url = "http://user:{hook_password}@127.0.0.1:{echo}/refuse?token=${{HOOK}}"
secret = "{signing}"
headers = {{ Authorization = '{hook_header}' }}
[[sink]]
name = "pager"
type = "webhook"
format = "pagerduty"
url = "http://127.0.0.1:{echo}/refuse"
routing_key = "{key}"
[[sink]]
name = "own words"
type = "webhook"
format = "template"
url = "http://127.0.0.1:{echo}/refuse"
template = "{{{{ data.reason.message }}}}"
[[sink]]
name = "mail"
type = "smtp"
host = "127.0.0.1"
port = {parrot}
tls = "starttls"
username = "user"
password = "${{SMTP}}"
from = "monitor@example.org"
to = ["ops@example.org"]
[[sink]]
name = "apprise"
type = "apprise"
urls = ["json://user:{apprise}@127.0.0.1:{echo}/refuse"]
[[sink]]
name = "log"
type = "log"
"""

LEAKY = '''
import attrs, logging, os
from monitor.api import Check, Probe, Verdict, check_option

@attrs.frozen(kw_only=True)
class Leaky(Check):
    """Tells whatever it knows."""
    password: str = check_option(doc="a secret", secret=True)
    crash: bool = check_option(doc="raise it", default=False)

    async def probe(self, probe: Probe) -> Verdict:
        probe.facts["found"] = {self.password: [self.password]}
        with open(f"{probe.endpoint}.env.txt", "w") as file:
            file.write(repr(dict(os.environ)))
        logging.getLogger("leaky").debug("the password is %s", self.password)
        try:
            raise ValueError(f"bad password {self.password}")
        except ValueError:
            if self.crash:
                raise
            logging.getLogger("leaky").exception("with %s", self.password)
        return Verdict.down(f"refused {self.password}")
'''

LITERAL = {
    name: planted(name)
    for name in ("basic", "digest", "bearer", "oauth", "env", "plugin", "hook_header")
} | {
    "bearer": planted("bearer", "/+&=%"),
    "header": planted("header", "/+ &=%"),
    "hook_header": planted("hookheader", "/+ &=%"),
    "cookie": planted("cookie", "/+&=%"),
    "metadata": planted("metadata", "/+&=%"),
    "url_password": planted("urlpassword", "%2F%26"),
    "hook_password": planted("hookpassword", "%2F%26"),
    "proxy": planted("proxypassword", "%2F%26"),
    "apprise": planted("apprise", "%2F%26"),
    "read": planted("read", "/+&="),
    "token": TOKEN,
    "signing": SIGNING,
    "key": KEY,
}  # fmt: skip
INSERTED = {
    name: planted(name.lower(), "/+&=%")
    for name in (
        *("REFERENCE", "DEADMAN", "QUERY", "DESCRIPTION", "RUNBOOK", "HEADER", "BODY", "STEP", "HOOK", "SMTP"),
    )
}
ADMIN = planted("admin", "/+&=")
ACCESS = planted("accesstoken", "/+&=")
CORES = sorted(
    {
        match[0]
        for value in (*LITERAL.values(), *INSERTED.values(), ADMIN, ACCESS, core("signing"))
        for match in re.finditer(r"zQ9[a-z]+Kx7", value)
    }
)


def needles(text: str) -> Iterator[str]:
    """*text* as it stands, and within base64 wherever it begins."""
    yield text
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + text.encode()).decode()
        yield encoded[(before * 8 + 5) // 6 : (before + len(text)) * 8 // 6]


NEEDLES = {needle: each for each in CORES for needle in needles(each)}
ANY = re.compile("|".join(map(re.escape, NEEDLES)))


def leaks(where: str, found: str | bytes) -> set[str]:
    text = found.decode("latin-1") if isinstance(found, bytes) else found
    return {
        f"{where}: {NEEDLES[hit[0]]} in …{text[max(0, hit.start() - 60) : hit.end() + 40]!r}"
        for hit in ANY.finditer(text)
    }


class World:
    """Servers that repeat whatever they are told, and what alerts they got."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def echo(self, stream: trio.SocketStream) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            if not (more := await stream.receive_some()):
                return
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            body += await stream.receive_some()
        path = first.split(" ")[1].partition("?")[0]
        if path.endswith("/refuse"):
            self.bodies.append(body)
        document = {"first": first, "body": body.decode("latin-1"), **headers}
        status, more_headers = 200, ""
        given = headers.get("authorization", headers.get("proxy-authorization", ""))
        match path.removeprefix("http://target.example.org"):
            case "/token":
                document = {"access_token": ACCESS, "token_type": "Bearer"}
            case "/refused" | "/refuse":
                status = 422
            case "/digest" if not given:
                status, more_headers = 401, f'WWW-Authenticate: Digest realm="{first}", nonce="n", qop="auth"\r\n'
            case "/away":
                status, more_headers = 302, f"Location: gopher://{first.split(' ')[1]}\r\n"
        if "upgrade" in headers or "proxy-authorization" in headers:
            status = 407
        answer = json.dumps(document, ensure_ascii=False).encode("latin-1", "replace")
        await stream.send_all(
            f"HTTP/1.1 {status} {given or first}\r\nContent-Type: application/json\r\nX-Echo: {given}\r\n{more_headers}"
            f"Set-Cookie: {given}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n".encode(
                "latin-1", "replace"
            )
            + answer
        )

    async def parrot(self, stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 hello\r\n")
        while data := await stream.receive_some():
            await stream.send_all(b"500 " + data)


async def told_by(running: Daemon) -> Iterator[tuple[str, str | bytes]]:
    """Everything that is said over HTTP, to each of the three."""
    paths = ["/", "/incidents", "/silences", "/metrics", "/readyz", "/api/v1/openapi.json", "/login", "/incidents.atom"]
    paths += [f"/api/v1/{name}" for name in ("endpoints", "transitions", "incidents", "outbox", "silences")]
    said: list[tuple[str, str | bytes]] = []
    async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as client:
        for token in ("nobody", LITERAL["read"]):
            client.headers["authorization"] = f"Bearer {token}"
            answer = await client.get("/api/v1/endpoints")
            names = [each["name"] for each in answer.json().get("endpoints", ())]
            own = [f"/{kind}/{name}" for name in names for kind in ("endpoints", "api/v1/endpoints")]
            for path in [*paths, *own]:
                answer = await client.get(path)
                said.append((f"GET {path}", f"{answer.headers} {answer.text}"))
        client.headers["authorization"] = f"Bearer {ADMIN}"
        answer = await client.post("/-/reload")
        assert answer.status_code == 422
        said.append(("POST /-/reload", answer.text))
        said.append(("/readyz", (await client.get("/readyz")).text))
    return iter(said)


# Apprise imports what Python warns of.
ENVIRON = {**INSERTED, "PYTHONWARNINGS": "ignore"}


async def test_no_secret_appears_anywhere(tmp_path: Path, nursery: trio.Nursery) -> None:
    world = World()
    echo = await nursery.start(serve, world.echo)
    parrot = await nursery.start(serve, world.parrot)
    (tmp_path / "admin").write_text(f"{ADMIN}\n", "utf-8")
    (tmp_path / "leaky.py").write_text(LEAKY)
    config = CONFIG.format(echo=echo, parrot=parrot, **LITERAL)
    (tmp_path / "config.toml").write_text(config, "utf-8")
    found: set[str] = set()

    for args in (
        ("validate",),
        ("checks", "leaky"),
        ("test-alert", "hook"),
        *(("check", "--explain", "--format", each) for each in ("text", "json")),
    ):
        done = await monitor(*args, cwd=tmp_path, **ENVIRON)
        found |= leaks(" ".join(args), done.out + done.err)

    async with daemon(tmp_path, "--log-level", "debug", **ENVIRON) as running:
        names = re.findall(r'^name = "(.*)"$', config.partition("[[sink]]")[0], re.MULTILINE)

        async def all_probed_and_told() -> bool:
            async with httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as client:
                client.headers["authorization"] = f"Bearer {ADMIN}"
                endpoints = (await client.get("/api/v1/endpoints")).json()["endpoints"]
                letters = (await client.get("/api/v1/outbox")).json()
            settled = all(each["state"] != "pending" for each in endpoints) and len(endpoints) == len(names)
            return settled and len(world.bodies) >= 10 and '"error": ' in json.dumps(letters)

        await until(all_probed_and_told, "every endpoint was probed, and alerts were refused")
        (tmp_path / "config.toml").write_text(config.replace('"5s"', '"${QUERY}"').replace('= "hook"', '= "a/${HOOK}"'))
        for where, said in await told_by(running):
            found |= leaks(where, said)
        if sys.platform == "linux":
            found |= leaks("/proc", Path(f"/proc/{running.process.pid}/cmdline").read_bytes())
        for name in ("env.txt", "isolated.env.txt"):  # of a program, and of a check in a worker
            hits = leaks(name, (tmp_path / name).read_text())
            found |= {each for each in hits if f" {core('env')} in" not in each}  # that of the program is for it
        for each in (tmp_path / "data").iterdir():  # with what stands in the write-ahead log only
            found |= leaks(each.name, each.read_bytes())
        (tmp_path / "config.toml").write_text(config, "utf-8")
        for args in (("status", "--format", "json"), ("outbox", "list"), ("outbox", "retry")):
            done = await monitor(*args, cwd=tmp_path, **ENVIRON)
            assert done.out, done.err
            found |= leaks(" ".join(args), done.out + done.err)
        assert await running.stop() == 0
        found |= leaks("log", running.log)
    for each in (tmp_path / "data").iterdir():
        found |= leaks(each.name, each.read_bytes())
    for body in world.bodies:  # what an alert says; pagerduty wants its key in it
        found |= leaks("payload", body.replace(KEY.encode(), b""))
    assert "leaky" in running.log
    assert not found, "\n".join(sorted(found))
    nursery.cancel_scope.cancel()

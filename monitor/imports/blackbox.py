"""blackbox_exporter's `blackbox.yml`, as modules of ours.

https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from monitor.core.errors import MonitorError
from monitor.core.text import printable
from monitor.imports import Imported, ways
from monitor.imports.conditions import quoted
from monitor.imports.tables import joined, table, tables

_NAME = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_GROUP = re.compile(r"\$(\{\w+\}|\w+)")  # of the expression before, put into what is sent
_PATIENT = "120s"  # a module without a timeout waits as long as Prometheus does
_REDIRECTS = 10
_SMALLEST_PING = 16  # bytes, of which we make sure that nobody can guess them
_DNS_TYPES = frozenset(
    {
        *("A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX"),
        *("NAPTR", "NS", "PTR", "SOA", "SRV", "SVCB", "TLSA", "TXT"),
    }
)
_TLS_VERSIONS = {"TLS12": "1.2", "TLS13": "1.3"}


def imported(document: object) -> Imported:
    """Read the document. Raises MonitorError where it is none of blackbox_exporter's."""
    config, result = table(document, "the document"), Imported()
    modules = table(config.pop("modules", None), "modules")
    for name, each in modules.items():
        if not _NAME.fullmatch(name):
            result.left_out.append(f'the module "{printable(name)}", for its name')
            continue
        settings = table(each, f"modules.{name}")
        prober = settings.pop("prober", None)
        if prober not in _PROBERS:
            result.left_out.append(f'the module "{name}": there is no counterpart to the prober {prober}')
            continue
        ours = {"check": prober, "timeout": str(settings.pop("timeout", None) or _PATIENT)}
        taken = _Taken(name, table(settings.pop(prober, None), f"modules.{name}.{prober}"), ours, result.left_out)
        _PROBERS[prober](taken)
        taken.leave(f"{prober}.")
        others = sorted(key for key, value in settings.items() if value)
        if others:
            result.left_out.append(f'of the module "{name}": {joined(others)}')
        result.modules[name] = ours
    if config:
        result.left_out.append(f"the settings {joined(sorted(config))}")
    return result


@attrs.frozen
class _Taken:
    """The settings of one module, taken out one by one; what is left at the end is said to be left out."""

    name: str
    theirs: dict[str, Any]
    ours: dict[str, Any]
    left_out: list[str]

    def take(self, key: str, default: Any = None) -> Any:
        """The setting *key*, or *default* where there is none."""
        value = self.theirs.pop(key, None)
        return default if value is None else value

    def expect(self, expression: str) -> None:
        """One thing more that must be true."""
        self.ours.setdefault("expect", []).append(expression)

    def leave(self, where: str = "") -> None:
        """Say what nobody has taken."""
        if others := sorted(key for key, value in self.theirs.items() if value not in (None, "", {}, [])):
            self.left_out.append(f'of the module "{self.name}": {joined(f"{where}{key}" for key in others)}')


def _http(module: _Taken) -> None:
    ours = module.ours
    for key in ("method", "body"):
        if (value := module.take(key)) is not None:
            ours[key] = _literally(value)
    if headers := table(module.take("headers"), f'the headers of "{module.name}"'):
        ours["headers"] = {name: _literally(value) for name, value in headers.items()}
    follows = module.take("follow_redirects", default=True) and not module.take("no_follow_redirects", default=False)
    ours |= {"max_redirects": _REDIRECTS} if follows else {"follow_redirects": False}
    if module.take("enable_http2", default=True):
        ours["http2"] = True
    _judged(module)
    _signed_in(module)
    _by_proxy(module)
    _connected(module)


def _by_proxy(module: _Taken) -> None:
    url = str(module.take("proxy_url", ""))
    if (way := ways.proxy(url)) is not None:
        module.ours["proxy"] = _literally(way)
        module.take("skip_resolve_phase_with_proxy")  # as it is here
    elif url:
        module.theirs["proxy_url"] = url


def _judged(module: _Taken) -> None:
    """What the answer must be."""
    if codes := module.take("valid_status_codes"):
        module.expect(f"status in {_list(codes)}")
    if versions := module.take("valid_http_versions"):
        numbers = ["2" if each == "HTTP/2.0" else str(each).removeprefix("HTTP/") for each in versions]
        module.expect(f"http_version in [{', '.join(map(quoted, numbers))}]")
    if module.take("fail_if_ssl"):
        module.expect("!url.startsWith('https:')")
    if module.take("fail_if_not_ssl"):
        module.expect("url.startsWith('https:')")
    for regex in module.take("fail_if_body_matches_regexp", ()):
        module.expect(f"!body.matches({quoted(regex)})")
    for regex in module.take("fail_if_body_not_matches_regexp", ()):
        module.expect(f"body.matches({quoted(regex)})")
    for key, negation in (("fail_if_header_matches", "!"), ("fail_if_header_not_matches", "")):
        for each in tables(module.take(key), f'{key} of "{module.name}"'):
            module.expect(_header(each, negation))


def _header(rule: dict[str, Any], negation: str) -> str:
    name = quoted(str(rule.get("header", "")).lower())
    there, matches = f"{name} in headers", f"{negation}headers[{name}].matches({quoted(str(rule.get('regexp', '')))})"
    return f"!({there}) || {matches}" if rule.get("allow_missing") else f"{there} && {matches}"


def _signed_in(module: _Taken) -> None:
    """Who asks."""
    if basic := table(module.take("basic_auth"), f'basic_auth of "{module.name}"'):
        module.ours["auth"] = {
            "basic": {"username": _literally(basic.get("username", "")), "password": _secret(basic, "password")}
        }
    authorization = table(module.take("authorization"), f'authorization of "{module.name}"')
    if authorization and str(authorization.get("type", "Bearer")).lower() == "bearer":
        module.ours["auth"] = {"bearer": _secret(authorization, "credentials")}
    elif authorization:
        module.theirs["authorization"] = authorization
    token = {key: value for key in ("bearer_token", "bearer_token_file") if (value := module.take(key))}
    if token:
        module.ours["auth"] = {"bearer": _secret(token, "bearer_token")}
    oauth2 = table(module.take("oauth2"), f'oauth2 of "{module.name}"')
    if oauth2.get("token_url") and "auth" not in module.ours:
        _by_token(module, oauth2)
    elif oauth2:
        module.theirs["oauth2"] = oauth2


def _by_token(module: _Taken, oauth2: dict[str, Any]) -> None:
    secret, parameters = _secret(oauth2, "client_secret"), table(oauth2.get("endpoint_params"), "endpoint_params")
    module.ours["auth"] = ways.oauth2(
        oauth2["token_url"],
        oauth2.get("client_id", ""),
        secret,
        oauth2.get("scopes"),
        _literally,
        parameters={key: _literally(value) for key, value in parameters.items()},
    )
    known = {"token_url", "client_id", "client_secret", "client_secret_file", "scopes", "endpoint_params"}
    module.theirs.update({f"oauth2.{key}": value for key, value in oauth2.items() if key not in known})


def _secret(settings: dict[str, Any], key: str) -> str | dict[str, str]:
    if file := settings.get(f"{key}_file"):
        return {"file": str(file)}
    return _literally(settings.get(key, ""))


def _tcp(module: _Taken) -> None:
    dialogue = tables(module.take("query_response"), f'query_response of "{module.name}"')
    at = next((number for number, each in enumerate(dialogue) if each.get("starttls")), None)
    if at is not None:
        protocol = _agreed_by([str(each.get("send", "")) for each in dialogue[: at + 1]])
        if protocol is None:
            module.left_out.append(f'of the module "{module.name}": tcp.query_response, for its starttls')
            dialogue = []
        else:
            module.ours["starttls"] = protocol
            dialogue = dialogue[at + 1 :]
    if dialogue:
        module.ours["steps"] = [step for each in dialogue for step in _steps(each, module)]
    if module.take("tls"):
        module.ours["tls"] = True
    _connected(module)


def _agreed_by(said: list[str]) -> str | None:
    """The protocol in which TLS is agreed upon by what is *said*."""
    last = [each.strip().upper() for each in said if each.strip()]
    if not last:
        return None
    if last[-1] == "STARTTLS":
        return "smtp"
    return "imap" if last[-1].endswith(" STARTTLS") else {"STLS": "pop3", "AUTH TLS": "ftp"}.get(last[-1])


def _dns(module: _Taken) -> None:
    ours = module.ours
    ours["query"] = str(module.take("query_name", "")).removesuffix(".") or "."
    kind = str(module.take("query_type", "ANY")).upper()
    if kind in _DNS_TYPES:
        ours["type"] = kind
    else:
        module.left_out.append(f'of the module "{module.name}": dns.query_type {kind}; A stands for that')
    if not module.take("recursion_desired", default=True):
        ours["recursion"] = False
    over_tls = module.take("dns_over_tls")
    transport = "tls" if over_tls else str(module.take("transport_protocol", "udp"))[:3]
    if transport != "udp":
        ours["transport"] = transport
    module.theirs.pop("transport_protocol", None)
    # The exporter is content with an answer without records.
    codes = module.take("valid_rcodes") or ["NOERROR"]
    module.expect(f"rcode in [{', '.join(quoted(str(each)) for each in codes)}]")
    _connected(module)


def _icmp(module: _Taken) -> None:
    module.ours["count"] = 1
    size = int(module.take("payload_size", 0))
    if size >= _SMALLEST_PING:
        module.ours["size"] = size
    _connected(module)


def _grpc(module: _Taken) -> None:
    if service := module.take("service"):
        module.ours["service"] = _literally(service)
    if module.take("tls"):
        module.ours["tls"] = True
    _connected(module)


def _steps(each: dict[str, Any], module: _Taken) -> list[dict[str, str]]:
    """First is waited, then sent; a line ends as blackbox_exporter's do."""
    steps = []
    if expect := each.get("expect"):
        steps.append({"expect": f"text.matches({quoted(f'(?m){expect}')})"})
    if send := each.get("send"):
        if _GROUP.search(str(send)):
            module.left_out.append(f'of the module "{module.name}": what `{send}` takes of the answer before, in tcp')
        steps.append({"send": _literally(f"{send}\n")})
    if others := sorted(each.keys() - {"expect", "send", "starttls"}):
        module.left_out.append(f'of the module "{module.name}": {joined(others)} in tcp.query_response')
    return steps


def _connected(module: _Taken) -> None:
    """By which way, and whom is trusted."""
    ours = module.ours
    tls = table(module.take("tls_config"), f'tls_config of "{module.name}"')
    if tls.pop("insecure_skip_verify", False):
        ours["verify"] = False
    for key, our_key in (("ca_file", "ca_file"), ("cert_file", "client_cert"), ("key_file", "client_key")):
        if file := tls.pop(key, None):
            ours[our_key] = _literally(file)
    if name := tls.pop("server_name", None):
        ours["server_name"] = _literally(name)
    if tls.get("min_version") in _TLS_VERSIONS:
        ours["min_tls"] = _TLS_VERSIONS[tls.pop("min_version")]
    module.theirs.update({f"tls_config.{key}": value for key, value in tls.items()})
    preferred, may_be_other = module.take("preferred_ip_protocol"), module.take("ip_protocol_fallback", default=True)
    if preferred in ("ip4", "ip6") and not may_be_other:
        ours["ip_version"] = int(preferred[-1])
    elif preferred:
        module.left_out.append(f'of the module "{module.name}": preferred_ip_protocol, as either is tried here')


_PROBERS = {"http": _http, "tcp": _tcp, "dns": _dns, "icmp": _icmp, "grpc": _grpc}


def _list(codes: object) -> str:
    if not isinstance(codes, list) or not all(isinstance(each, int) for each in codes):
        raise MonitorError(f"valid_status_codes: expected a list of numbers, got {codes!r}")
    return "[" + ", ".join(map(str, codes)) + "]"


def _literally(value: object) -> str:
    """*value* as a text in which our config inserts nothing."""
    return str(value).replace("$", "$$")

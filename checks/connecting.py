"""What every check that opens connections can be told: where to connect, and how to speak TLS there.

Derive from `Connecting` in place of `Check`; pass `tls_setting` and `addressing` to `probe.connect` or
`probe.transport`, and end with `verdict`, so that a certificate which ends soon is told of. What knows no TLS derives
from `Reaching`.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from zlib import crc32

import attrs

from checks.options import address, min_tls, name_server, proxy, server_name, version_of
from monitor.api import (
    TLS,
    Addressing,
    Check,
    Fact,
    Lifetime,
    Metric,
    NameServer,
    OptionError,
    Probe,
    Proxy,
    Verdict,
    certificates_file,
    check_option,
    hold_identity,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

IP_FACT = Fact(
    "192.0.2.7",
    "address that was connected to",
    metrics=(
        Metric("probe_ip_protocol", "Whether the probe used IPv4 or IPv6.", version_of, default=0),
        Metric("probe_ip_addr_hash", "A hash of the address, to see that it changed.", lambda ip: crc32(ip.encode())),
    ),
)
CONNECTION_FACTS: Mapping[str, Fact] = {
    "ip": IP_FACT,
    "tls_version": Fact(
        "1.3",
        "TLS version, absent without TLS",
        metrics=(Metric("probe_tls_version_info", "The TLS version that was used.", "TLS {}".format, label="version"),),
    ),
    "cert_expires_in": Fact(
        timedelta(days=30),
        "until the certificate expires, absent without TLS",
        metrics=(
            Metric("probe_ssl_earliest_cert_expiry", "When the certificate expires, in Unix seconds.", moment=True),
        ),
    ),
    "cert_issuer": Fact("Example CA", "who issued the certificate, absent without TLS"),
}


@attrs.frozen(kw_only=True)
class Reaching(Check):
    """A check that looks for the address of a host."""

    address: str | None = check_option(default=None, doc="connect there, keep Host and SNI", validator=address)
    ip_version: Literal[4, 6] | None = check_option(default=None, doc="only IPv4 or IPv6")
    dns_ttl: Lifetime = check_option(default=Lifetime(0), doc="how long a look-up may be kept; 0s: looked up each time")
    dns_resolver: str | None = check_option(
        default=None, doc="whom to ask, udp://, tcp:// or tls://; default: the system", validator=name_server
    )

    def __attrs_post_init__(self) -> None:
        host = self.address or urlsplit(self.target).hostname or ""
        if self.ip_version is not None and version_of(host) not in (None, self.ip_version):
            raise OptionError(
                "ip_version", f"expected {version_of(host)}, as {host} is, or a name; got {self.ip_version}"
            )

    @cached_property
    def addressing(self) -> Addressing:
        """How to find addresses, and through whom to go there."""
        return Addressing(
            address=self.address,
            ip_version=self.ip_version,
            dns_ttl=self.dns_ttl,
            dns_resolver=None if self.dns_resolver is None else NameServer.parse(self.dns_resolver),
            proxy=self._through,
        )

    @property
    def _through(self) -> Proxy | None:
        return None


@attrs.frozen(kw_only=True)
class Connecting(Reaching):
    """A check that opens connections, with TLS or without."""

    verify: bool = check_option(default=True, doc="verify the server's certificate")
    ca_file: Path | None = check_option(default=None, doc="trusted authorities, PEM", validator=certificates_file)
    client_cert: Path | None = check_option(default=None, doc="certificate to show, PEM", validator=certificates_file)
    client_key: Path | None = check_option(default=None, doc="its key, PEM; default: in client_cert, too")
    server_name: str | None = check_option(default=None, doc="name for SNI and the certificate", validator=server_name)
    min_tls: Literal["1.2", "1.3"] | None = check_option(default=None, doc="lowest TLS version", validator=min_tls)
    cert_warning: Lifetime | Literal["never"] = check_option(
        default=Lifetime.parse("14d"), doc="degraded this long before the certificate expires, or never"
    )

    def __attrs_post_init__(self) -> None:
        if self.client_key is not None and self.client_cert is None:
            raise OptionError("client_key", "expected client_cert beside client_key")
        if self.client_cert is not None:
            try:
                hold_identity(self.client_cert, self.client_key)
            except ValueError as exc:
                raise OptionError("client_cert" if self.client_key is None else "client_key", str(exc)) from exc
        super().__attrs_post_init__()

    @cached_property
    def tls_setting(self) -> TLS:
        """How to speak TLS."""
        return TLS(
            verify=self.verify,
            ca_file=self.ca_file,
            client_cert=self.client_cert,
            client_key=self.client_key,
            min_tls=self.min_tls,
            alpn=self._alpn,
            server_name=self.server_name,
        )

    @property
    def _alpn(self) -> tuple[str, ...]:
        """The application protocols to offer; none where no HTTP is spoken."""
        return ()

    def verdict(self, probe: Probe) -> Verdict:
        """Up, or degraded where a certificate that *probe* saw ends soon: for a check without complaints."""
        return probe.certificate_verdict(0 if self.cert_warning == "never" else self.cert_warning)


@attrs.frozen(kw_only=True)
class Proxied(Connecting):
    """A check whose connections may go through a proxy."""

    proxy: str | None = check_option(
        default=None, doc="connect through it, http://, https://, socks5:// or socks5h://", validator=proxy
    )

    @property
    def _through(self) -> Proxy | None:
        if not self.proxy:
            return None
        return attrs.evolve(Proxy.parse(self.proxy), tls=TLS(verify=self.verify, ca_file=self.ca_file))

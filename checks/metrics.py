"""What the facts of a connection are for Prometheus: blackbox_exporter's metrics, with its names and units."""

from __future__ import annotations

import zlib
from ipaddress import ip_address

from monitor.api import Metric

IP = (
    Metric("probe_ip_protocol", "Whether the probe used IPv4 or IPv6.", lambda ip: ip_address(ip).version, default=0),
    Metric("probe_ip_addr_hash", "A hash of the address, to see that it changed.", lambda ip: zlib.crc32(ip.encode())),
)
TLS_VERSION = (
    Metric(
        "probe_tls_version_info", "The TLS version that was used.", lambda version: f"TLS {version}", label="version"
    ),
)
CERT_EXPIRES_IN = (
    Metric("probe_ssl_earliest_cert_expiry", "When the certificate expires, in Unix seconds.", moment=True),
)

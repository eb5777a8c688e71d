"""Following redirects without being led astray: `http`'s own loop.

Every hop is a fresh request under the same deadline. A hop to another origin takes none of the configured headers
along; where it may go is decided before anything is sent, on the very addresses that will be connected to.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from checks.options import version_of
from monitor.api import Code, ProbeError, Reason

if TYPE_CHECKING:
    import httpx

    from monitor.api import Answer

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_LONGEST_LOCATION = 8192
# Metadata services of clouds that do not use a link-local address: Alibaba, Oracle, Azure, AWS and Google on IPv6.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"),
    )
)
# Where the last 32 bits are an address of IPv4: IPv4-compatible, NAT64 (RFC 6052) and its local kin (RFC 8215).
_ENDS_IN_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
_NAT64 = _ENDS_IN_IPV4[1]
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")


def location_of(answer: Answer) -> str | None:
    """Where *answer* sends us, or None when it sends us nowhere."""
    if answer.status not in _REDIRECTS:
        return None
    values = [value for name, value in answer.headers if name.lower() == b"location"]
    return values[0].decode("latin-1") if values else None


class Redirects:
    """The requests of one probe that was redirected, one after another."""

    def __init__(
        self, request: httpx.Request, *, max_redirects: int, allow_downgrade: bool, allow_private: bool
    ) -> None:
        """Begin after *request*."""
        self.request = request
        self.followed = 0
        self._max = max_redirects
        self._allow_downgrade = allow_downgrade
        self._allow_private = allow_private
        self._first = request.url
        self._from_private = False
        self._seen = {(request.method, str(request.url), frozenset[str]())}

    @property
    def same_origin(self) -> bool:
        """Is the request still for the host that was configured?"""
        return same_origin(self._first, self.request.url)

    def follow(self, location: str, status: int, *, came_from: str, cookies: frozenset[str] = frozenset()) -> None:
        """Make the request for *location*, or raise ProbeError for why it is not followed.

        *status* is the redirect's; *came_from* the address that sent it, or the name where a proxy alone knows that:
        who sends us on from a private address may send us to one. To come back is no loop where *cookies* differ.
        """
        if self.followed >= self._max:
            _refuse(Code.LIMIT, f"more than {self._max} redirects")
        self._from_private = version_of(came_from) is not None and _is_private(came_from)
        self.request = self._next(_target(self.request.url, location), status)
        self.followed += 1
        step = (self.request.method, str(self.request.url), cookies)
        if step in self._seen:
            _refuse(Code.LIMIT, f"redirect loop after {self.followed} redirect{'' if self.followed == 1 else 's'}")
        self._seen.add(step)

    def _next(self, url: httpx.URL, status: int) -> httpx.Request:
        import httpx  # noqa: PLC0415 - only who is redirected needs it

        before = self.request
        if before.url.scheme == "https" and url.scheme == "http" and not self._allow_downgrade:
            _refuse(Code.POLICY, "redirect from https to http, which allow_downgrade does not allow")
        if same_origin(before.url, url):
            headers = before.headers.copy()
            if headers["host"] == before.url.netloc.decode("ascii"):
                del headers["host"]  # else the config says which, and goes on saying so
        else:
            headers = httpx.Headers({"User-Agent": before.headers.get("user-agent", ""), "Accept": "*/*"})
        # RFC 9110, 15.4: 303 asks for a GET; so do 301 and 302 after a POST, by custom.
        if (status == 303 and before.method != "HEAD") or (status in (301, 302) and before.method == "POST"):
            for name in ("content-length", "content-type"):
                headers.pop(name, None)
            return httpx.Request("GET", url, headers=headers)
        return httpx.Request(before.method, url, headers=headers, content=before.content)

    def vet(self, ip: str) -> None:
        """Refuse an address a redirect may not lead to."""
        if any(each.is_link_local or each in _METADATA for each in _meanings(ip)):
            _refuse(Code.POLICY, f"redirect to the link-local or metadata address {ip}")
        if not self._from_private and not self._allow_private and _is_private(ip):
            _refuse(
                Code.POLICY, f"redirect from a public to the private address {ip}, which allow_private does not allow"
            )


def _target(base: httpx.URL, location: str) -> httpx.URL:
    import httpx  # noqa: PLC0415

    if len(location) > _LONGEST_LOCATION:
        _refuse(Code.LIMIT, f"Location is longer than {_LONGEST_LOCATION} characters")
    if any(char < "\x20" or char == "\x7f" for char in location):
        _refuse(Code.PROTOCOL, "Location holds control characters")
    try:
        url = base.join(location)
        port = urlsplit(str(url)).port  # which, unlike httpx, minds its range
    except (httpx.InvalidURL, ValueError) as exc:
        raise ProbeError(Reason(Code.PROTOCOL, "processing", "Location is not a valid URL")) from exc
    if url.scheme not in _PORTS:
        _refuse(Code.POLICY, f"redirect to the scheme {url.scheme[:20]}, only http and https are followed")
    if not url.host or port == 0:
        _refuse(Code.PROTOCOL, "Location has no host or no port")
    if url.userinfo:
        _refuse(Code.POLICY, "redirect to a URL with credentials in it")
    return url.copy_with(fragment=None)


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """The same scheme, host and port; http to https of one host on default ports is no change."""
    if one.host != other.host:
        return False
    ports = (one.port or _PORTS[one.scheme], other.port or _PORTS[other.scheme])
    return (one.scheme == other.scheme and ports[0] == ports[1]) or (
        one.scheme == "http" and other.scheme == "https" and ports == (80, 443)
    )


def _meanings(ip: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Every address that *ip* may lead to: itself, and one of IPv4 in the clothes of IPv6."""
    parsed = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv4Address):
        return [parsed]
    embedded = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
    if any(parsed in network for network in _ENDS_IN_IPV4) or parsed.packed[8:12] in _ISATAP:
        embedded.append(ipaddress.IPv4Address(parsed.packed[12:]))
    # A translator's own prefix is no place: who is meant is the address inside.
    own = [] if parsed.ipv4_mapped or parsed in _NAT64 else [parsed]
    return [*own, *(each for each in embedded if each is not None)]


def _is_private(ip: str) -> bool:
    return not all(each.is_global for each in _meanings(ip))


def _refuse(code: Code, message: str) -> NoReturn:
    raise ProbeError(Reason(code, "processing", message))

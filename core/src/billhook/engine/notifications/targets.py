"""Where notifications may go: public addresses, over TLS. Looked at when a channel is stored, and again at every connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from billhook.errors import InvalidInput

LONGEST_URL = 2048
HTTPS_PORT = 443
FIRST_FREE_PORT = 1024
"""Below it live services that are no receivers of webhooks."""

Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host. Raises OSError when it has none."""

_NAT64 = IPv6Network("64:ff9b::/96")


class TargetRefused(Exception):
    """Nothing may be sent there. The message says why."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the machine's own resolver answers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Targets:
    """What may be reached. ``allow_private`` also lets plain HTTP and private addresses pass, for development."""

    allow_private: bool = False
    resolve: Resolve = system_resolve

    def check(self, url: str) -> str:
        """The address itself. Raises InvalidInput for one that may not be notified.

        A host name that nobody knows at present passes: it is looked up again whenever something is sent.
        """
        host, port = self.endpoint(url)
        try:
            self.addresses(host, port)
        except TargetRefused as refused:
            raise _invalid(str(refused)) from None
        except (OSError, UnicodeError):
            return url
        return url

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses to connect to. Raises TargetRefused unless all that the host has may be reached, OSError when it has none."""
        found = self.resolve(host, port)
        private = [address for address in found if not is_public(address)]
        if private and not self.allow_private:
            raise TargetRefused(f"The host {host} has the address {private[0]}, which is not on the public internet")
        if not found:
            raise OSError(f"The host {host} has no address")
        return found

    def endpoint(self, url: str) -> tuple[str, int]:
        """The host and the port of an address. Raises InvalidInput for an address that may not be notified whatever its host is."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _invalid("It can't be read") from None
        schemes = ("https", "http") if self.allow_private else ("https",)
        if parts.scheme not in schemes or not host:
            raise _invalid(f"It does not begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and a host")
        if parts.username is not None or parts.password is not None:
            raise _invalid("It holds a user or a password; put credentials into a custom header")
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
            raise _invalid(f"It has a fragment, letters that need escaping, or more than {LONGEST_URL} letters")
        if port is None:
            return host, HTTPS_PORT if parts.scheme == "https" else 80
        if port != HTTPS_PORT and port < FIRST_FREE_PORT and not self.allow_private:
            raise _invalid(f"Port {port} is not for webhooks; use {HTTPS_PORT} or one from {FIRST_FREE_PORT}")
        return host, port


def is_public(address: str) -> bool:
    """Whether the address is one of the public internet's. One that carries another inside is as private as that."""
    ip = ip_address(address.partition("%")[0])
    inner = _inside(ip)
    if inner is not None:
        return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _inside(ip: IPv4Address | IPv6Address) -> IPv4Address | None:
    if isinstance(ip, IPv4Address):
        return None
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _invalid(why: str) -> InvalidInput:
    return InvalidInput("webhook_url_invalid", f"Nothing can be sent to this address. {why}.", "/url")

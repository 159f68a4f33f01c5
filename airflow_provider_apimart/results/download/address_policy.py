"""Which addresses results may be fetched from: a decision on addresses that are resolved already, without I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# An address in here stands for an IPv4 address in its last four bytes.
_EMBEDDING = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
# What serves credentials to whoever asks from inside a cloud; some of it has a public number.
_METADATA = tuple(map(ip_address, ("169.254.169.254", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
# Versions of Python disagree on these.
_NOT_PUBLIC = tuple(
    map(ip_network, ("100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15", "64:ff9b:1::/48", "3fff::/20", "fec0::/10"))
)


@dataclass(frozen=True)
class AddressPolicy:
    """
    Where results may be fetched from.

    :param own_origin: URL of the connection's own host, which is allowed whatever its address is, at its own port.
    :param allow_private_hosts: Whether any address is allowed.
    """

    own_origin: str | None = None
    allow_private_hosts: bool = False

    def refusal(self, host: str, port: int, address: str) -> str | None:
        """
        Return why a connection may not be made, or ``None`` if it may.

        :param host: The name that the URL holds.
        :param address: The address that the name has, and that would be connected to.
        """
        if self.allow_private_hosts or (host.lower(), port) == self._own:
            return None
        return kind_of_private(address)

    @property
    def _own(self) -> tuple[str, int] | None:
        parts = urlsplit(self.own_origin or "")
        return (parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)) if parts.hostname else None


def kind_of_private(address: str) -> str | None:
    """
    Return what makes an address no public one, or ``None`` if it is public.

    :param address: An IPv4 or IPv6 address. Of one that stands for another, each must be public.
    """
    return next(filter(None, map(_kind, _meanings(ip_address(address)))), None)


def _meanings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Go through an address and the addresses that it stands for."""
    if isinstance(address, IPv4Address):
        yield address
        return
    # Of these, nothing but the other address counts; versions of Python disagree on 2002::/16 itself.
    if address.ipv4_mapped is None and address.sixtofour is None and address not in _EMBEDDING[0]:
        yield address
    embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _EMBEDDING):
        embedded.append(IPv4Address(int(address) & 0xFFFFFFFF))
    yield from filter(None, embedded)


def _kind(address: IPv4Address | IPv6Address) -> str | None:
    kinds = {
        "metadata": address in _METADATA,
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "private": address.is_private or any(address in network for network in _NOT_PUBLIC),
        "reserved": address.is_reserved or not address.is_global,
    }
    return next((kind for kind, holds in kinds.items() if holds), None)

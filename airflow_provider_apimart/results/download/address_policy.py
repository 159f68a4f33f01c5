"""Address policy: the decision whether a result may be fetched from an address. No I/O; names are resolved already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from airflow_provider_apimart.api.base_url import DEFAULT_PORTS
from airflow_provider_apimart.exceptions import ApimartInvalidRequestError

# An address in here stands for an IPv4 address in its last four bytes.
_EMBEDDING = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"), IPv6Network("::ffff:0:0:0/96"))
# These serve credentials to any client inside a cloud; some of them have a public number.
_METADATA = tuple(map(ip_address, ("169.254.169.254", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")))
# Local proxies answer DNS with made-up addresses of this range, whatever the host.
_FAKE_IP_RANGE = IPv4Network("198.18.0.0/15")
# Versions of Python disagree on these.
_NOT_PUBLIC = (
    _FAKE_IP_RANGE,
    *map(ip_network, ("100.64.0.0/10", "192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "fec0::/10")),
)
_SWITCHES = {"true": True, "false": False}
_HOST = re.compile(r"(\*\.)?[^\s:/@?#*\[\]]+")


@dataclass(frozen=True)
class PrivateHosts:
    """
    The hosts and networks that aren't public and may be fetched from.

    :param all: Whether all of them may.
    :param hosts: Lower-case names; ``*.example.org`` stands for all names below ``example.org``.
    """

    all: bool = False
    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def has_host(self, host: str) -> bool:
        """Return whether a host is among the hosts, whatever its address."""
        name = host.lower().rstrip(".")
        labels = name.split(".")
        return name in self.hosts or any(f"*.{'.'.join(labels[at:])}" in self.hosts for at in range(1, len(labels)))

    def has_address(self, address: IPv4Address | IPv6Address) -> bool:
        """Return whether an address is in one of the networks."""
        return any(address in network for network in self.networks)


def private_hosts(value: bool | str | Iterable[str]) -> PrivateHosts:
    """
    Return the hosts that an argument ``allow_private_hosts`` allows.

    :param value: Whether all hosts are allowed, or hosts and networks such as ``["cdn.internal", "198.18.0.0/15"]``;
        a text holds them separated by commas.
    :raises ApimartInvalidRequestError: If an entry is neither a host nor a network.
    """
    if isinstance(value, str):
        value = _SWITCHES.get(value.strip().lower(), value)
    if isinstance(value, bool | None):
        return PrivateHosts(all=bool(value))
    entries = [str(each).strip() for each in _listed(value)]
    networks = {entry: network for entry in entries if (network := _network(entry)) is not None}
    hosts = [entry.lower().rstrip(".") for entry in entries if entry not in networks]
    if wrong := [host for host in hosts if not _HOST.fullmatch(host)]:
        raise ApimartInvalidRequestError(
            f"Invalid allow_private_hosts: {wrong[0]!r} is neither a host nor a network. Write True, or a list such as "
            '["cdn.internal", "198.18.0.0/15"]'
        )
    return PrivateHosts(False, frozenset(hosts), tuple(networks.values()))


def _listed(value: object) -> list[object]:
    listed = value.split(",") if isinstance(value, str) else value
    if isinstance(listed, Iterable) and not isinstance(listed, Mapping | bytes):
        entries = list(listed)
        if all(isinstance(each, str | IPv4Network | IPv6Network) for each in entries):
            return entries
    raise ApimartInvalidRequestError(
        f"Invalid allow_private_hosts: {value!r:.100} is no list of hosts and networks. Write True, or a list such as "
        '["cdn.internal", "198.18.0.0/15"]'
    )


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


@dataclass(frozen=True)
class Refusal:
    """
    The reason why a connection may not be made.

    :param kind: The kind of the address, such as ``private`` or ``loopback``.
    :param remedy: The entry of ``allow_private_hosts`` that would allow it.
    """

    kind: str
    remedy: str


@dataclass(frozen=True)
class AddressPolicy:
    """
    The addresses from which results may be fetched: public ones, and those that are allowed.

    :param own_origin: URL of the connection's own host, which is allowed at its own port, whatever its address.
    :param allowed: Further hosts and networks.
    """

    own_origin: str | None = None
    allowed: PrivateHosts = PrivateHosts()

    def refusal(self, host: str, port: int, address: str) -> Refusal | None:
        """
        Return why a connection may not be made, ``None`` if it may.

        :param host: The name in the URL.
        :param address: The address of the name, which would be connected to.
        """
        if self.allowed.all or (host.lower(), port) == self._own:
            return None
        private = [
            each for each in _meanings(ip_address(address)) if _kind(each) and not self.allowed.has_address(each)
        ]
        if not private:
            return None
        kind = str(_kind(private[0]))
        # A name may come to lead anywhere; to credentials it does only if their address itself was allowed.
        if kind != "metadata" and self.allowed.has_host(host):
            return None
        return Refusal(kind, _remedy(kind, host, private[0]))

    @property
    def _own(self) -> tuple[str, int] | None:
        parts = urlsplit(self.own_origin or "")
        return (parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme, 0)) if parts.hostname else None


def _remedy(kind: str, host: str, address: IPv4Address | IPv6Address) -> str:
    if address in _FAKE_IP_RANGE:
        return str(_FAKE_IP_RANGE)
    return str(address) if kind == "metadata" else host


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

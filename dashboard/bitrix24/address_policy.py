"""Decide which IP addresses may be called: public ones, and others only where a switch allows them.

The lists are IANA's registries of special-purpose addresses (iana-ipv4-special-registry and
iana-ipv6-special-registry), written out: `ipaddress.is_global` answers differently in each Python release.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# Where clouds tell their machines secrets, besides link-local and special-purpose addresses.
METADATA = tuple(map(ip_address, ("168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))
NAT64 = ip_network("64:ff9b::/96")
SPECIAL_IPV4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "100.64.0.0/10",  # shared by a provider's customers, and some clouds' metadata
            "169.254.0.0/16",  # link-local, and most clouds' metadata
            "192.0.0.0/24",  # protocol assignments, and one cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # multicast tunnels
            "192.88.99.0/24",  # 6to4 relays
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and the broadcast address
        ),
    )
)
# All that is given out. Every other IPv6 address (site-local, segments, some mesh's) is inside of something.
PUBLIC_IPV6 = ip_network("2000::/3")
SPECIAL_IPV6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID and others
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: an IPv4 address in disguise
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


@dataclass(frozen=True)
class AddressPolicy:
    """Which addresses besides public ones may be called."""

    loopback: bool = False
    private: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        address = _unwrapped(address)
        if address.is_loopback:
            return self.loopback
        if address in METADATA:
            return False
        if _within(PRIVATE, address):
            return self.private
        if isinstance(address, IPv4Address):
            return not _within(SPECIAL_IPV4, address)
        return address in PUBLIC_IPV6 and not _within(SPECIAL_IPV6, address)


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, where the system or a gateway would take it so."""
    if isinstance(address, IPv6Address) and address in NAT64:
        return IPv4Address(address.packed[-4:])
    return getattr(address, "ipv4_mapped", None) or address


def _within(networks: tuple[IPv4Network | IPv6Network, ...], address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in networks)

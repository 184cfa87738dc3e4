"""Decide which IP addresses may be called: public ones, and others only if the configuration allows them.

The networks are IANA's registries of special-purpose addresses (iana-ipv4-special-registry and
iana-ipv6-special-registry), because `ipaddress.is_global` differs between Python releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
# Metadata services of clouds outside the link-local and special-purpose networks.
METADATA = tuple(map(ip_address, ("168.63.129.16", "fd00:ec2::254", "fd20:ce::254")))
NAT64 = ip_network("64:ff9b::/96")
# Every IPv6 address outside of it is special: site-local, link-local, a segment or an overlay network.
PUBLIC_IPV6 = ip_network("2000::/3")
_SPECIAL_NETWORKS = """
    0.0.0.0/8         this network
    100.64.0.0/10     shared by a provider's customers; metadata of some clouds
    169.254.0.0/16    link-local; metadata of most clouds
    192.0.0.0/24      protocol assignments; metadata of one cloud
    192.0.2.0/24      documentation
    192.31.196.0/24   AS112
    192.52.193.0/24   multicast tunnels
    192.88.99.0/24    6to4 relays
    192.175.48.0/24   AS112
    198.18.0.0/15     benchmarks
    198.51.100.0/24   documentation
    203.0.113.0/24    documentation
    224.0.0.0/4       multicast
    240.0.0.0/4       reserved; broadcast
    2001::/23         protocol assignments: Teredo, benchmarks, ORCHID and others
    2001:db8::/32     documentation
    2002::/16         6to4, which contains an IPv4 address
    2620:4f:8000::/48 AS112
    3fff::/20         documentation
"""
SPECIAL = tuple(ip_network(line.split()[0]) for line in _SPECIAL_NETWORKS.strip().splitlines())


@dataclass(frozen=True)
class AddressPolicy:
    """The kinds of address besides public ones that may be called."""

    loopback: bool = False
    private: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether an address may be called."""
        address = _embedded_ipv4(address) or address
        if address.is_loopback:
            return self.loopback
        if address in METADATA:
            return False
        if any(address in network for network in PRIVATE):
            return self.private
        is_public = isinstance(address, IPv4Address) or address in PUBLIC_IPV6
        return is_public and not any(address in network for network in SPECIAL)


def _embedded_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that the system or a gateway would use in place of an IPv6 one."""
    if isinstance(address, IPv4Address):
        return None
    return IPv4Address(address.packed[-4:]) if address in NAT64 else address.ipv4_mapped

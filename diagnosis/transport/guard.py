"""Where the site may connect to for a clinic: public addresses, and what its operator allows.

A clinic's administrator types the address, so it must not reach the site's own network. The name
is resolved once and the connection goes to that very address, so that a name cannot change its
mind between check and use.
"""

import ipaddress
import socket
from typing import Final

from django.conf import settings

from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError

_LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215: a network of one's own
# IPv4-compatible addresses and NAT64 (RFC 6052): the last 32 bits are an IPv4 address.
_IPV4_INSIDE: Final = (ipaddress.ip_network("::/96"), ipaddress.ip_network("64:ff9b::/96"))


def allowed_address(host: str, port: int) -> str:
    """Return an IP address of the host to connect to.

    Raises:
        PeerRefusedError: ``address_not_allowed``; the host leads into a private network that
            ``DELIVERY_PRIVATE_NETWORKS`` does not name.
        PeerUnavailableError: ``host_unknown``.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PeerUnavailableError("host_unknown") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    # One forbidden address among several is enough: which one is used would be luck.
    if not addresses or not all(is_allowed(address) for address in addresses):
        raise PeerRefusedError("address_not_allowed")
    return addresses[0]


def is_allowed(address: str) -> bool:
    """Return whether the site may connect to an IP address."""
    ip = _meant(ipaddress.ip_address(address.partition("%")[0]))
    networks = (ipaddress.ip_network(network) for network in settings.DELIVERY_PRIVATE_NETWORKS)
    if any(ip in network for network in networks):
        return True
    return ip.is_global and not ip.is_multicast and ip not in _LOCAL_NAT64


def _meant(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to: a gateway would go on to it."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
    if inner is None and any(ip in network for network in _IPV4_INSIDE):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return inner or ip

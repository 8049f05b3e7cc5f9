"""Where the site may connect to for a clinic: public addresses, and what its operator allows.

A clinic's administrator types the address, so it must not reach the site's own network. The name
is resolved once and the connection goes to that very address, so that a name cannot change its
mind between check and use.
"""

import ipaddress
import socket

from django.conf import settings

from diagnosis.transport.errors import PeerRefusedError, PeerUnavailableError


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
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    networks = (ipaddress.ip_network(network) for network in settings.DELIVERY_PRIVATE_NETWORKS)
    if any(ip in network for network in networks):
        return True
    return ip.is_global and not ip.is_multicast

"""What a destination is spoken to with."""

from diagnosis.models import Destination
from diagnosis.transport.errors import PeerRefusedError
from fracture_site.common.sealing import SealBrokenError, unseal


def secrets_of(destination: Destination) -> dict[str, str]:
    """Return the destination's secrets.

    Raises:
        PeerRefusedError: ``secrets_lost``; the site's key was changed and they must be given anew.
    """
    try:
        return unseal(destination.secrets)
    except SealBrokenError as error:
        raise PeerRefusedError("secrets_lost") from error

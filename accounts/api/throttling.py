"""How often a program may call: counted in the cache, and no door that closes without it."""

import logging
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

if TYPE_CHECKING:
    from rest_framework.views import APIView  # loads its default throttles: this module

logger = logging.getLogger(__name__)
ASK_AGAIN_AFTER_S = 5.0


class PatientThrottle(UserRateThrottle):
    """Let requests pass while the cache does not answer: reading an image matters more.

    A cache that hangs is then left alone for five seconds, so that it does not slow down
    every request; an outage is logged once, when it begins.
    """

    left_alone_until = float("-inf")
    is_out = False

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Return whether the caller is below the limit, as far as that can be known."""
        kind = type(self)
        if time.monotonic() < kind.left_alone_until:
            return True
        try:
            allowed: bool = super().allow_request(request, view)
        except (RedisError, OSError) as error:
            if not kind.is_out:
                code = type(error).__name__
                logger.warning("calls are not counted: no cache", extra={"code": code})
            kind.is_out = True
            kind.left_alone_until = time.monotonic() + ASK_AGAIN_AFTER_S
            return True
        kind.is_out = False
        return allowed

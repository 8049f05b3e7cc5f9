"""What can become of an attempt to reach a peer; ``code`` is stable and names no person."""


class TransportError(Exception):
    """The peer did not take what was sent."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class PeerUnavailableError(TransportError):
    """Nobody answers, or not now: later it may work."""


class PeerRefusedError(TransportError):
    """It was refused, or cannot be sent as the destination is set up; somebody must act."""

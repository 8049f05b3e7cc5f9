"""PostgreSQL of the embedded services, but on the network: runs on the database host.

python -m tests.hosts.database FOLDER ADDRESS
"""

import sys
from pathlib import Path

from fracture_site import processes
from fracture_site.embedded import layout
from fracture_site.embedded.postgres import postgres_server


def main() -> int:
    """Serve until a stop signal."""
    found = layout.prepare(Path(sys.argv[1]))
    binaries = layout.reachable(layout.find_binaries(), found)
    with processes.StopSignals() as signals:
        try:
            with postgres_server(
                binaries, found, throwaway=True, pause=signals.pause, address=f"{sys.argv[2]}/24"
            ):
                while True:
                    signals.pause(3600)
        except processes.StopRequestedError:
            return 0


if __name__ == "__main__":
    sys.exit(main())

# ruff: noqa: INP001 - a script
"""The DICOM listener under attack; one JSON line an attack, exit code 1 when the bar is missed.

    python -m fracture_site.embedded run --data var/siege --throwaway -- \
        .venv/bin/python bench/listener_siege.py --connections 500

Attackers come from 200 addresses: promises of 1 GiB, connections that say nothing, titles that
nobody has, requests a byte a second. Bar: the listener's process stays below 300 MiB, and a known
device that comes for an echo all the time gets in each time, its 95th percentile at most twice that
of peace (or below half a second: attackers and listener share this machine's processors).
"""

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")
MOST_MIB = 300
ENOUGH_S = 0.5


def main() -> None:
    """Attack, measure, tell."""
    parser = argparse.ArgumentParser(prog="bench/listener_siege.py")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--echoes", type=int, default=40)
    options = parser.parse_args()
    import django

    django.setup()
    from accounts.models import Role
    from tests.factories import DeviceFactory, MembershipFactory
    from tests.support.database import test_database
    from tests.support.listener import Listener
    from tests.support.siege import (
        MIB,
        besieged,
        gigabyte,
        good_echoes,
        half_open,
        p95,
        slow_loris,
        stranger,
    )

    attacks = {
        "1 GiB": (gigabyte, 8),
        "half-open": (half_open, options.connections),
        "strangers": (stranger, 20),
        "slow": (slow_loris, 100),
    }
    fine = True
    with test_database("siege"):
        member = MembershipFactory(roles=[Role.TECHNICIAN])
        DeviceFactory(membership=member, ae_title="GOOD", address="127.0.0.1")
        listener = Listener().start()
        try:
            good_echoes(listener.port, 3)
            peace = p95(good_echoes(listener.port, options.echoes))
            for name, (attack, count) in attacks.items():
                most, ended = [listener.memory_bytes], threading.Event()

                def watch(most: list[int] = most, ended: threading.Event = ended) -> None:
                    while not ended.wait(0.1):
                        most[0] = max(most[0], listener.memory_bytes)

                watcher = threading.Thread(target=watch)
                watcher.start()
                try:
                    with besieged(attack, listener.port, count):
                        time.sleep(2)
                        war = p95(good_echoes(listener.port, options.echoes))
                finally:
                    ended.set()
                    watcher.join()
                held = most[0] <= MOST_MIB * MIB and (war <= 2 * peace or war <= ENOUGH_S)
                fine = fine and held
                line = {
                    "attack": name,
                    "attackers": count,
                    "rss_most_mib": round(most[0] / MIB),
                    "p95_ms_peace": round(1000 * peace, 1),
                    "p95_ms": round(1000 * war, 1),
                    "ratio": round(war / peace, 2),
                    "echoes": options.echoes,
                    "fine": held,
                }
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
        finally:
            listener.stop()
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()

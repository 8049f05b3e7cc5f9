# ruff: noqa: INP001 - a script
"""Mutated files through the real doors; one JSON line a door, exit code 1 when the bar is missed.

    python -m fracture_site.embedded run --data var/fuzz --throwaway -- \
        .venv/bin/python bench/fuzz.py --files 10000 --seed 1

Half go through the API's upload, a tenth through the page, a fifth through STOW-RS, a fifth through
C-STORE on the listener's own process. Bar: each answered with "stored" or a refusal, none slower
than 5 seconds, no 5xx, nothing left in rows or store by a refusal, everything served is clean. A
seed gives the same files again; the line names the files that were answered wrongly.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")
SHARES = {"api": 0.5, "page": 0.1, "stow": 0.2, "cstore": 0.2}


def main() -> None:
    """Send, judge, tell."""
    parser = argparse.ArgumentParser(prog="bench/fuzz.py")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fracture-test-media-") as media:
        os.environ["PRIVATE_MEDIA_ROOT"] = media
        os.environ["API_THROTTLE_RATE"] = "1000000/min"
        fine = _run(options.files, options.seed)
    sys.exit(0 if fine else 1)


def _run(count: int, seed: int) -> bool:
    import django

    django.setup()
    from tests.support.database import test_database
    from tests.support.fuzz_doors import Doors, StoreScu, Verdict, send_all
    from tests.support.listener import Listener
    from tests.support.mutations import dicom_mutant, mutant

    fine = True
    with test_database("fuzz"):
        doors = Doors()
        listener = Listener(PRIVATE_MEDIA_ROOT=os.environ["PRIVATE_MEDIA_ROOT"]).start()
        scu, dice = StoreScu(doors, listener), random.Random(seed)  # noqa: S311 - repeatable
        ways: dict[str, Callable[[bytes], tuple[str, bool]]] = {
            "api": doors.by_api,
            "page": doors.by_page,
            "stow": doors.by_stow,
            "cstore": lambda data: scu.send(data, dice),
        }
        try:
            for door, share in SHARES.items():
                made = mutant if door in {"api", "page"} else dicom_mutant
                verdict, began = Verdict(), time.monotonic()
                files = _files(door, seed, round(count * share), made)
                send_all(doors, files, ways[door], verdict)
                line = {"door": door, "seed": seed, **verdict.line()}
                line["seconds"] = round(time.monotonic() - began, 1)
                sys.stdout.write(json.dumps(line | {"fine": verdict.is_fine}) + "\n")
                sys.stdout.flush()
                fine = fine and verdict.is_fine
        finally:
            scu.close()
            listener.stop()
    return fine


def _files(
    door: str, seed: int, count: int, make: Callable[[random.Random], tuple[str, bytes]]
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a door; each has a seed of its own, so that one can be made again."""
    for number in range(count):
        kind, data = make(random.Random(f"{seed}/{door}/{number}"))  # noqa: S311 - repeatable
        yield f"{kind} {seed}/{door}/{number}", data


if __name__ == "__main__":
    main()

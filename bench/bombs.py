# ruff: noqa: INP001 - a script
"""Files that want to become large, through every door; one JSON line a door, exit code 1 if missed.

    python -m fracture_site.embedded run --data var/bombs --throwaway -- \
        .venv/bin/python bench/bombs.py

Bar: each is refused within 5 seconds, the web process grows by at most 200 MiB while it does that,
and no limited child occupies more than 1.5 GiB.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.test")


def main() -> None:
    """Send, judge, tell."""
    with tempfile.TemporaryDirectory(prefix="fracture-test-media-") as media:
        os.environ["PRIVATE_MEDIA_ROOT"] = media
        import django

        django.setup()
        from tests.support.bomb_doors import siege
        from tests.support.database import test_database

        with test_database("bombs"):
            lines = list(siege())
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")
    sys.exit(0 if all(line["fine"] for line in lines) else 1)


if __name__ == "__main__":
    main()

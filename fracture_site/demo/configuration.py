"""What the person at the terminal chose, and the environment that follows from it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fracture_site.datafolder import secret
from fracture_site.demo.tls import Certificates, lan_address


@dataclass(frozen=True)
class Options:
    """One demo: where its data is and how it is reached."""

    data: Path
    port: int
    images: Path | None
    tls: bool

    @property
    def logs(self) -> Path:
        """Where all programs write."""
        return self.data / "log"

    @property
    def accounts(self) -> Path:
        """The file with everybody's passwords and tokens."""
        return self.data.with_suffix(".json")

    @property
    def host(self) -> str:
        """The address that people type: this machine, or its place in the network for phones."""
        return lan_address() if self.tls else "127.0.0.1"

    @property
    def bind_address(self) -> str:
        """Other machines are let in only when the connection is encrypted."""
        return "0.0.0.0" if self.tls else "127.0.0.1"  # noqa: S104 - asked for

    @property
    def base_url(self) -> str:
        """The site's address."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def ports(self) -> list[int]:
        """Every port that must be free."""
        listeners = [self.hl7_port, self.dicom_port]
        return [self.port, *([self.port + 1] if self.tls else []), *listeners]

    @property
    def hl7_port(self) -> int:
        """Where the HL7 listener is, for this machine only: 10575 beside 8000."""
        return (self.port + 2575) % 65536

    @property
    def dicom_port(self) -> int:
        """Where the DICOM listener is, for this machine only: 19112 beside 8000."""
        return (self.port + 11112) % 65536

    def authority_command(self, file: Path) -> str:
        """Return the Procfile command that hands out the certificate authority."""
        return (
            f"exec '{sys.executable}' -m fracture_site.demo.authority_server "
            f"{self.port + 1} '{file}'"
        )

    def authority_url(self, file: Path) -> str:
        """Return where a phone gets the certificate authority."""
        return f"http://{self.host}:{self.port + 1}/{file.name}"


def demo_environment(
    options: Options, urls: Mapping[str, str], certificates: Certificates | None
) -> dict[str, str]:
    """Return the environment of web server, worker and scheduler: production settings."""
    origins = [f"{'https' if options.tls else 'http'}://localhost:{options.port}"]
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 2
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "fracture_site.settings.production",
        "SECRET_KEY": secret(options.data, "django"),
        "DATABASE_URL": urls["DATABASE_URL"],
        "REDIS_URL": urls["REDIS_URL"],
        "BASE_URL": options.base_url,
        "ALLOWED_HOSTS": f"localhost,127.0.0.1,[::1],{options.host}",
        "CSRF_TRUSTED_ORIGINS": ",".join(origins),
        "TLS_ENABLED": "true" if options.tls else "false",
        # A browser would otherwise insist on https for localhost, for a year, on every port.
        "HSTS_SECONDS": "0",
        # Cookies know no ports: two demos on one machine would sign each other out.
        "COOKIE_SUFFIX": f"-{options.port}",
        "PRIVATE_MEDIA_ROOT": str(options.data / "media"),
        "ML_CACHE_DIR": str(options.data / "models"),
        "BACKUP_ROOT": str(options.data / "backups"),
        "STATIC_ROOT": str(options.data / "static"),
        "EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "EMAIL_FILE_PATH": str(options.data / "mail"),
        "BEAT_SCHEDULE": str(options.data / "celerybeat-schedule"),
        "WEB_HOST": options.bind_address,
        "PORT": str(options.port),
        "WEB_CONCURRENCY": "2",
        "WEB_GRACE_S": "5",  # Ctrl-C is not to be waited for
        "HL7_HOST": "127.0.0.1",
        "HL7_PORT": str(options.hl7_port),
        "DIMSE_HOST": "127.0.0.1",
        "DIMSE_PORT": str(options.dicom_port),
        # An archive to try it with runs on this machine.
        "DELIVERY_PRIVATE_NETWORKS": "127.0.0.0/8",
        "WORKER_CONCURRENCY": str(max(1, min(4, cores))),
        "GUNICORN_CMD_ARGS": "",
    }
    if certificates is not None:
        env["GUNICORN_CMD_ARGS"] = (
            f"--certfile '{certificates.certificate}' --keyfile '{certificates.key}'"
        )
    env.pop("DATABASE_OWNER_URL", None)  # row-level security does not bind the owner
    return dict(env)

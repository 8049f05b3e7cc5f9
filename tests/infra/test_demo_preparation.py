"""What the demo does again at the next start, what it leaves out, and how it waits."""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fracture_site import processes
from fracture_site.demo import preparation, readiness
from fracture_site.demo.configuration import Options
from fracture_site.demo.console import Console
from fracture_site.demo.preparation import DemoError, Setup

MANAGE = """
import pathlib, sys, time
pathlib.Path("calls").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "hang":
    time.sleep(600)
if sys.argv[1] == "break":
    print("the reason")
    sys.exit(3)
if sys.argv[1] == "collectstatic":
    pathlib.Path("collected").mkdir(exist_ok=True)
"""


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """Return a checkout whose manage.py only notes what it was asked."""
    for folder in ("accounts/migrations", "diagnosis/migrations", "static"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("requirements.txt", "accounts/row_security.py", "static/site.css"):
        (tmp_path / file).write_text("1")
    seed = tmp_path / "diagnosis/management/commands/seed_demo.py"
    seed.parent.mkdir(parents=True)
    seed.touch()
    (tmp_path / "manage.py").write_text(MANAGE)
    monkeypatch.setattr(preparation, "ROOT", tmp_path)
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "ML_MODEL_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def setup(site) -> Iterator[Setup]:
    with processes.StopSignals() as signals:
        yield Setup({}, site / "setup.log", signals, Console())


def calls(site: Path) -> list[str]:
    noted = site / "calls"
    found = noted.read_text().splitlines() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return found


def prepare(setup: Setup, site: Path, base_url: str = "http://127.0.0.1:8000") -> list[str]:
    port = int(base_url.rpartition(":")[2])
    options = Options(site / "demo", port, None, tls=False)
    setup.migrate(site / "migrated")
    setup.collect_static(site / "collected")
    setup.seed(options, site / "seeded")
    options.accounts.touch()  # what the command would have written
    return [call.split()[0] for call in calls(site)]


def test_an_unchanged_checkout_is_prepared_once(setup, site):
    assert prepare(setup, site) == ["db_migrate", "collectstatic", "seed_demo"]
    assert prepare(setup, site) == []


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ("diagnosis/migrations/0002_more.py", ["db_migrate"]),
        ("accounts/row_security.py", ["db_migrate"]),
        ("static/site.css", ["collectstatic"]),
        ("static/new.js", ["collectstatic"]),
        ("requirements.txt", ["db_migrate", "collectstatic"]),
        ("diagnosis/management/commands/seed_demo.py", ["seed_demo"]),
    ],
)
def test_a_change_repeats_what_depends_on_it(setup, site, changed, again):
    prepare(setup, site)
    (site / changed).write_text("something longer")
    assert prepare(setup, site) == again


def test_another_port_or_lost_accounts_are_written_again(setup, site):
    prepare(setup, site)
    assert prepare(setup, site, "http://127.0.0.1:8001") == ["seed_demo"]
    (site / "demo.json").unlink()
    assert prepare(setup, site, "http://127.0.0.1:8001") == ["seed_demo"]


def test_a_database_of_somebody_else_is_always_looked_at(setup, site, monkeypatch):
    prepare(setup, site)
    monkeypatch.setenv("DATABASE_URL", "postgresql://boss@db/site")
    assert prepare(setup, site) == ["db_migrate", "seed_demo"]


def test_a_failed_command_shows_its_end_and_is_repeated_next_time(setup, site):
    with pytest.raises(DemoError, match=r"(?s)`manage.py break` failed.*the reason.*demo-reset"):
        setup.manage("break")


def test_a_stop_signal_ends_a_long_command(setup, site, monkeypatch):
    received = iter([None, 15])

    def wait(_seconds: float) -> int | None:
        return next(received)

    monkeypatch.setattr(setup.signals, "wait", wait)
    with pytest.raises(processes.StopRequestedError):
        setup.manage("hang")
    assert [p for p in processes.descendants(os.getpid()) if "hang" in p.cmdline()] == []


class Answers(http.server.BaseHTTPRequestHandler):
    statuses: list[int]

    def do_GET(self) -> None:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"the model is missing")

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


class Programs:
    def keep_running(self) -> None:
        """Nothing ends."""


@pytest.fixture
def answering() -> Iterator:
    started = []

    def start(*statuses: int) -> int:
        handler = type("Handler", (Answers,), {"statuses": list(statuses)})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))
        return server.server_port

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join(5)


def wait_for_site(port: int, site: Path) -> None:
    options = Options(site / "demo", port, None, tls=False)
    with processes.StopSignals() as signals:
        readiness.wait_until_ready(options, None, Programs(), signals, lambda: None)


def test_it_waits_as_long_as_the_site_is_not_ready(site, answering):
    wait_for_site(answering(503, 503, 200), site)


def test_it_gives_up_with_the_sites_own_reason(site, answering, monkeypatch):
    monkeypatch.setattr(readiness, "_READY_S", 0.5)
    with pytest.raises(readiness.NotReadyError, match="the model is missing"):
        wait_for_site(answering(503), site)


def test_phone_help_names_both_addresses_and_the_fingerprint(capsys):
    Console().phone_help(
        site="https://192.0.2.1:8000", authority="http://192.0.2.1:8001/ca.crt",
        fingerprint="AA:BB", file=Path("/var/tls/ca.crt"),
    )  # fmt: skip
    printed = capsys.readouterr().out
    for text in ("https://192.0.2.1:8000", "http://192.0.2.1:8001/ca.crt", "AA:BB", "Remove it"):
        assert text in printed

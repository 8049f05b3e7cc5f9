"""The demo's environment, its certificates, and the messages of things that cannot work."""

import http.client
import json
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

from fracture_site.datafolder import exclusive
from fracture_site.demo import tls
from fracture_site.demo.authority_server import make_server
from fracture_site.demo.configuration import Options, demo_environment
from fracture_site.demo.console import Console
from tests.infra.conftest import measured_environment
from tests.support.database import ROOT

URLS = {"DATABASE_URL": "postgresql://app@h/n", "DATABASE_OWNER_URL": "postgresql://own@h/n",
        "REDIS_URL": "unix:///r"}  # fmt: skip


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fracture_site.demo", *arguments],
        cwd=ROOT, env=measured_environment(), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_programs_of_the_demo_never_learn_the_owners_password(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://own@h/n")
    env = demo_environment(Options(tmp_path, 8000, None, tls=False), URLS, None)
    assert "own@" not in json.dumps(env)
    assert env["DATABASE_URL"] == URLS["DATABASE_URL"]


def test_each_copy_has_its_own_key_that_stays(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    keys = []
    for data in (first, second, first):
        data.mkdir(exist_ok=True)
        env = demo_environment(Options(data, 8000, None, tls=False), URLS, None)
        keys.append(env["SECRET_KEY"])
    assert keys[0] == keys[2] != keys[1]
    assert len(keys[0]) >= 48


def test_two_demos_on_one_machine_do_not_share_cookies(tmp_path):
    suffixes = {
        demo_environment(Options(tmp_path, port, None, tls=False), URLS, None)["COOKIE_SUFFIX"]
        for port in (8000, 8001)
    }
    assert len(suffixes) == 2


def test_without_encryption_only_this_machine_is_let_in(tmp_path):
    assert Options(tmp_path, 8000, None, tls=False).bind_address == "127.0.0.1"


def test_a_port_in_use_is_named_with_a_way_out(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_demo("--data", str(tmp_path / "demo"), "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port} is in use" in done.stderr
    assert "make demo PORT=" in done.stderr
    assert not (tmp_path / "demo" / "postgres").exists()


def test_a_wrong_folder_of_images_is_refused_before_anything_starts(tmp_path):
    done = run_demo("--data", str(tmp_path / "demo"), "--images", "/no/such/folder")
    assert (done.returncode, done.stderr) == (
        1,
        "\nerror: IMAGES=/no/such/folder is not a folder.\n",
    )


def test_reset_removes_the_data_but_not_under_a_running_demo(tmp_path):
    data = tmp_path / "demo"
    with exclusive(data):
        done = run_demo("--data", str(data), "--reset")
        assert done.returncode == 1
        assert "in use" in done.stderr
    (tmp_path / "demo.json").write_text("{}")
    assert run_demo("--data", str(data), "--reset").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_authority_survives_restarts_and_vouches_for_every_name(tmp_path):
    names = ["localhost", "127.0.0.1", "192.0.2.17"]
    first = tls.ensure_certificates(tmp_path / "tls", names)
    authority = first.authority.read_bytes()
    second = tls.ensure_certificates(tmp_path / "tls", names)
    assert second.authority.read_bytes() == authority
    assert second.fingerprint == first.fingerprint
    assert len(first.fingerprint) == 32 * 3 - 1
    for secret in (second.key, tmp_path / "tls" / "ca.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert handshake(second, "127.0.0.1")["subjectAltName"] == (
        ("DNS", "localhost"), ("IP Address", "127.0.0.1"), ("IP Address", "192.0.2.17"),
    )  # fmt: skip


def handshake(certificates: tls.Certificates, name: str) -> dict:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificates.certificate, certificates.key)
    client_side = ssl.create_default_context(cafile=str(certificates.authority))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with server_side.wrap_socket(theirs, server_side=True) as wrapped:
            wrapped.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client_side.wrap_socket(ours, server_hostname=name) as wrapped:
        found = wrapped.getpeercert()
        wrapped.sendall(b"x")
    thread.join(10)
    begin, end = (ssl.cert_time_to_seconds(found[k]) for k in ("notBefore", "notAfter"))
    assert begin < time.time() < end
    assert end - begin < 399 * 86400  # phones refuse longer ones
    return found


def test_the_authority_is_handed_out_and_nothing_else(tmp_path):
    certificates = tls.ensure_certificates(tmp_path / "tls", ["localhost"])
    server = make_server(0, certificates.authority, host="127.0.0.1")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        answers = {}
        for path in (f"/{certificates.authority.name}", "/ca.key", "/", "/../ca.key"):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
            connection.request("GET", path)
            response = connection.getresponse()
            answers[path] = (response.status, response.read())
            connection.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert answers.pop(f"/{certificates.authority.name}") == (
        200, certificates.authority.read_bytes(),
    )  # fmt: skip
    assert {status for status, _ in answers.values()} == {404}


def test_the_summary_names_the_address_and_every_account(tmp_path, capsys):
    account = {"role": "doctor", "clinic": "North", "email": "d@example.org", "password": "pw-1"}
    site = account | {"role": "site_admin", "clinic": None, "email": "s@example.org"}
    file = tmp_path / "demo.json"
    file.write_text(json.dumps({"base_url": "http://127.0.0.1:8010", "accounts": [account, site]}))
    Console().summary(file, logs=Path("/logs"))
    printed = capsys.readouterr().out
    for text in ("http://127.0.0.1:8010", "d@example.org", "s@example.org", "pw-1", "/logs"):
        assert text in printed

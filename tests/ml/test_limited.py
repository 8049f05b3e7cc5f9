"""A process that gave everything up has no network, in any of its threads and children."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGIN = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    "import os, socket, threading\n"
    "from ml.limited import Limits, restrict\n"
    "restrict(Limits(memory_bytes=2 * 2**30, cpu_seconds=1))\n"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", BEGIN + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK"])
def test_there_is_no_network(family):
    done = run(f"socket.socket(socket.{family}, socket.SOCK_RAW)")

    assert done.returncode == 1
    assert "PermissionError" in done.stderr


def test_threads_and_children_have_none_either():
    code = (
        "def open_one():\n"
        "    try: socket.socket()\n"
        "    except PermissionError: print('denied', flush=True)\n"
        "thread = threading.Thread(target=open_one); thread.start(); thread.join()\n"
        "if os.fork() == 0: open_one(); os._exit(0)\n"
        "os.wait()\n"
    )

    assert run(code).stdout.split() == ["denied", "denied"]


def test_local_sockets_work():
    assert run("socket.socketpair(); print('fine')").stdout.strip() == "fine"


def test_memory_and_time_end():
    assert "MemoryError" in run("bytearray(3 * 2**30)").stderr
    assert run("while True: pass").returncode < 0

"""A RabbitMQ of the tests' own, where the Debian package is installed."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fracture_site import processes

# The package's wrapper in /usr/sbin insists on changing the user; this is what it calls.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
HOW_TO_GET_IT = "RabbitMQ is not here (apt-get install rabbitmq-server)"


def is_installed() -> bool:
    return SERVER.exists() and shutil.which("epmd") is not None


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a server with its state in ``folder``; yield its URL."""
    names, node, distribution = (_free_port() for _ in range(3))
    (folder / "plugins").write_text("[].")
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"test{node}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(node),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "state"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    log = folder / "server.log"
    with log.open("ab") as output:
        # Started here because the server would leave one behind as a daemon.
        mapper = processes.spawn_tied(["epmd"], cwd=folder, output=output, env=env)
        server = processes.spawn_tied([str(SERVER)], cwd=folder, output=output, env=env)
    try:
        ready = processes.wait_until(
            lambda: server.poll() is not None or b"startup complete" in log.read_bytes(),
            timeout_s=60,
            interval_s=0.1,
        )
        assert ready, processes.tail(log)
        assert server.poll() is None, processes.tail(log)
        yield f"amqp://guest:guest@127.0.0.1:{node}//"
    finally:
        processes.stop(server, grace_s=20)
        processes.stop(mapper, grace_s=5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

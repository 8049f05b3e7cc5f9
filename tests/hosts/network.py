"""Hosts on one machine: network namespaces with addresses of their own, joined by a bridge."""

import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOPOLOGY = Path(__file__).with_name("topology.toml")
BRIDGE = "fs-bridge"


@dataclass(frozen=True)
class Host:
    """One machine of the site."""

    name: str
    address: str
    runs: tuple[str, ...]

    @property
    def namespace(self) -> str:
        return f"fs-{self.name}"

    @property
    def plug(self) -> str:
        """The bridge's end of its cable; names of devices have 15 characters at most."""
        return f"fs-{self.name}"[:15]

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs on this host."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def unplug(self) -> None:
        """Pull the cable: packets vanish, nobody is told."""
        _ip("link", "set", self.plug, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self.plug, "up")


@dataclass(frozen=True)
class Site:
    """All hosts, and the load that the file asks for."""

    hosts: Mapping[str, Host]
    gateway: str
    load: Mapping[str, int]

    def running(self, what: str) -> list[Host]:
        """Return the hosts that run something."""
        return [host for host in self.hosts.values() if what in host.runs]

    def address(self, what: str) -> str:
        return self.running(what)[0].address


def read(path: Path = TOPOLOGY) -> Site:
    """Return the site that the file describes."""
    told: dict[str, Any] = tomllib.loads(path.read_text())
    hosts = {
        name: Host(name, f"{told['network']}.{host['address']}", tuple(host["runs"]))
        for name, host in told["hosts"].items()
    }
    return Site(hosts=hosts, gateway=f"{told['network']}.1", load=told["load"])


@contextmanager
def network(site: Site) -> Iterator[None]:
    """Build the namespaces and the bridge; take them down at the end, whatever happened."""
    _remove(site)
    try:
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{site.gateway}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        for host in site.hosts.values():
            _ip("netns", "add", host.namespace)
            _ip("link", "add", host.plug, "type", "veth", "peer", "name", "eth0",
                "netns", host.namespace)  # fmt: skip
            _ip("link", "set", host.plug, "master", BRIDGE, "up")
            for line in (
                f"address add {host.address}/24 dev eth0", "link set eth0 up", "link set lo up",
            ):  # fmt: skip
                _ip("-n", host.namespace, *line.split())
        yield
    finally:
        _remove(site)


def _remove(site: Site) -> None:
    for host in site.hosts.values():
        subprocess.run(["ip", "link", "delete", host.plug], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)
    subprocess.run(["ip", "link", "delete", BRIDGE], capture_output=True, check=False)


def _ip(*argv: str) -> None:
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"ip {' '.join(argv)}: {done.stderr.strip()}")

"""Keeps the programs of a Procfile running and stops all of them."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from honcho.environ import parse_procfile

from fracture_site import processes

_RESTARTS, _WITHIN_S = 5, 60.0
_STOP_S = 12.0


class ProgramFailedError(Exception):
    """A program ends again and again; the text shows the end of its log."""


@dataclass
class _Program:
    name: str
    command: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)


class Supervisor:
    """Starts every line of a Procfile as ``sh -c`` in a session of its own.

    A program that dies is started again, as a service manager would do: a killed worker must not
    take the site down. One that dies five times in a minute is given up, and so is the demo.
    """

    def __init__(
        self,
        procfile: str,
        *,
        root: Path,
        env: Mapping[str, str],
        logs: Path,
        say: Callable[[str], None],
    ) -> None:
        self._root, self._env, self._say = root, env, say
        self._programs = [
            _Program(name, command, logs / f"{name}.log")
            for name, command in parse_procfile(procfile).processes.items()
        ]

    def __enter__(self) -> Self:
        for program in self._programs:
            self._start(program)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = [p.process for p in self._programs if p.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for process in running:
            processes.stop(process, grace_s=max(0.1, deadline - time.monotonic()))

    def keep_running(self) -> None:
        """Start again what has ended.

        Raises:
            ProgramFailedError: it did not help.
        """
        for program in self._programs:
            if program.process is None or program.process.poll() is None:
                continue
            code = program.process.returncode
            processes.stop(program.process, grace_s=0)  # what a killed one left behind
            recent = [at for at in program.starts if time.monotonic() - at < _WITHIN_S]
            if len(recent) >= _RESTARTS:
                raise ProgramFailedError(
                    f"{program.name} ended {len(recent)} times within a minute. "
                    f"The end of {program.log}:\n{processes.tail(program.log)}"
                )
            self._say(f"  {program.name} ended (code {code}) and is started again")
            self._start(program)

    def _start(self, program: _Program) -> None:
        with processes.open_log(program.log) as output:
            program.process = processes.spawn_tied(
                ["/bin/sh", "-c", program.command], cwd=self._root, output=output, env=self._env
            )
        program.starts.append(time.monotonic())

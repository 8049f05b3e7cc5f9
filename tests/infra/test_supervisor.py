"""The demo's programs: started again when they die, stopped for good when the demo stops."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fracture_site import processes
from fracture_site.demo.supervisor import ProgramFailedError, Supervisor
from tests.infra.conftest import clean_environment
from tests.support.database import ROOT
from tests.support.worker import wait_for

# A program with a child of its own that ignores polite signals, as a busy worker pool may.
STUBBORN_CHILD = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time; "
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN_CHILD!r}]); "
    "print('up', flush=True); time.sleep(600)"
)


@pytest.fixture
def supervise(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)

    def make(procfile: str, say=print) -> Supervisor:
        return Supervisor(
            procfile.replace("PYTHON", sys.executable),
            root=tmp_path, env=dict(os.environ), logs=tmp_path, say=say,
        )  # fmt: skip

    return make


def running_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def is_up(log: Path) -> bool:
    return log.exists() and b"up" in log.read_bytes()


def test_leaving_ends_every_program_and_its_children(supervise, tmp_path):
    with supervise("a: exec PYTHON parent.py\nb: exec sleep 600\n"):
        wait_for(lambda: is_up(tmp_path / "a.log"))
        assert len(running_in(tmp_path)) == 3
    assert running_in(tmp_path) == []


def test_a_killed_program_is_started_again_without_its_old_children(supervise, tmp_path):
    said = []
    with supervise("a: exec PYTHON parent.py\n", said.append) as programs:
        wait_for(lambda: is_up(tmp_path / "a.log"))
        old = running_in(tmp_path)
        next(p for p in old if "parent.py" in p.cmdline()).kill()
        wait_for(lambda: programs.keep_running() or said)
        assert said == ["  a ended (code -9) and is started again"]
        wait_for(lambda: len(running_in(tmp_path)) == 2)
        assert not {p.pid for p in old} & {p.pid for p in running_in(tmp_path)}


def test_a_program_that_never_runs_is_given_up_with_the_end_of_its_log(supervise, tmp_path):
    with (
        supervise("a: echo it is broken; exit 3\n") as programs,
        pytest.raises(ProgramFailedError, match=r"(?s)a ended 5 times.*it is broken"),
    ):
        wait_for(programs.keep_running)


def test_a_killed_supervisor_takes_its_programs_along(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT.replace("signal.SIGTERM, signal.SIG_IGN", "1, 0"))
    script = (
        "import os, pathlib, signal; from fracture_site.demo.supervisor import Supervisor\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        f"procfile = 'a: exec {sys.executable} parent.py\\nb: exec sleep 600\\n'\n"
        "with Supervisor(procfile, root=here, env=os.environ, logs=here, say=print):\n"
        "    signal.pause()"
    )
    launcher = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=clean_environment())
    wait_for(lambda: is_up(tmp_path / "a.log"))
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    wait_for(lambda: not [p for p in running_in(tmp_path) if "parent.py" in p.cmdline()])
    wait_for(lambda: not [p for p in running_in(tmp_path) if p.name() == "sleep"])
    processes.end_processes(running_in(tmp_path), grace_s=0)


def test_stop_signals_are_read_and_not_raised_in_the_middle_of_things():
    with processes.StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(5) == signal.SIGTERM
        assert signals.wait(0) is None
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(processes.StopRequestedError) as caught:
            signals.pause(5)
        assert caught.value.signum == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nohup_is_respected():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with processes.StopSignals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_long_log_is_kept_once_and_begun_again(tmp_path):
    log = tmp_path / "web.log"
    log.write_bytes(b"x" * 20)
    with processes.open_log(log, keep_bytes=10) as output:
        output.write(b"new\n")
    assert processes.tail(log) == "new"
    assert (tmp_path / "web.log.1").stat().st_size == 20

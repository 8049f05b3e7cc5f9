"""The worker process that other tests rely on."""

import psutil
import pytest

from tests.support.worker import wait_for


@pytest.mark.timeout(120)
def test_a_killed_worker_is_gone_with_its_children_and_can_be_started_again(start_worker):
    worker = start_worker(concurrency=2)
    family = [worker.pid, *wait_for(lambda: len(worker.child_pids) >= 2 and worker.child_pids)]
    environment = psutil.Process(worker.pid).environ()
    assert "/test_fracture" in environment["DATABASE_URL"]
    assert "DATABASE_OWNER_URL" not in environment
    worker.kill()
    assert not [pid for pid in family if psutil.pid_exists(pid) and is_alive(pid)]
    worker.start()
    assert worker.pid not in family


def is_alive(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE

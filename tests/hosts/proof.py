"""`make hosts-proof`: a site of several hosts loses nothing when two are cut off; JSON lines.

Every host of ``topology.toml`` is a network namespace with its own address; all processes are the
real ones. Two clinics upload through all web hosts. First the throughput of one worker host and of
all; then the proof: one worker host's cable is pulled while it works, then the broker's, both come
back later. Exit 1 when anything was lost or is there twice.
"""

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.hosts.network import Site, network, read

ROOT_ONLY = (
    "Network namespaces need root: run `sudo make hosts-proof`, or as root in a container with "
    "CAP_NET_ADMIN and CAP_SYS_ADMIN."
)


def main() -> int:
    """Build the site, measure, strike, count."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        sys.stderr.write(f"{ROOT_ONLY}\n")
        return 1
    from tests.hosts.machines import machines, new_folder

    site, folder = read(), new_folder()
    try:
        with network(site), machines(site, folder) as found:
            _set_django_up(found.database_url)
            found.start_web()
            tell(hosts=len(site.hosts), cores=os.cpu_count(),
                 pooled=bool(site.running("pgbouncer")))  # fmt: skip
            throughput(site, found)
            passed = strike(site, found)
    except BaseException:
        sys.stderr.write(f"The logs are in {folder}\n")
        raise
    shutil.rmtree(folder)
    return 0 if passed else 1


def throughput(site: Site, found: Any) -> None:
    """Compare one worker host with all of them on the same number of waiting images."""
    from tests.chaos.hospital import states
    from tests.hosts.load import RemoteHospital, rate
    from tests.support.worker import wait_for

    workers, rates = site.running("worker"), {}
    for count in (1, len(workers)):
        hospital = RemoteHospital(site.load["sample"], found.web_urls)
        end = states()["succeeded"] + len(hospital.files)
        hospital.upload_all(at_once=4)
        for host in workers[:count]:
            found.start_worker(host)
        wait_for(lambda end=end: states()["succeeded"] >= end, timeout_s=300, interval_s=0.2)
        rates[count] = rate(hospital)
        for host in workers[:count]:
            found.stop_worker(host)
    tell(
        figure="images per second",
        one_worker_host=rates[1],
        worker_hosts=len(workers),
        all_worker_hosts=rates[len(workers)],
        times=round(rates[len(workers)] / rates[1], 2),
        note=f"all hosts share {os.cpu_count()} cores of one machine: the gain is theirs, not that "
        "of separate machines",
    )


def strike(site: Site, found: Any) -> bool:
    """Pull the cable of a worker host, then of the broker, in mid-load."""
    from tests.chaos.hospital import states
    from tests.hosts.load import RemoteHospital, account, in_background, median_s
    from tests.support.worker import wait_for

    workers, (broker,) = site.running("worker"), site.running("redis")
    for host in workers:
        found.start_worker(host)
    hospital = RemoteHospital(site.load["images"], found.web_urls)
    before, quarter = states()["succeeded"], len(hospital.files) // 4
    uploads = in_background(lambda: hospital.upload_all(at_once=6))
    began = time.monotonic()

    victim = workers[0]
    wait_for(lambda: hospital.answered >= quarter, timeout_s=300, interval_s=0.1)
    victim.unplug()
    cut_at, done_at = time.monotonic() - began, states()["succeeded"]
    back = threading.Timer(site.load["worker_away_s"], victim.plug_in)
    back.start()
    wait_for(lambda: hospital.answered >= 2 * quarter, timeout_s=300, interval_s=0.1)
    broker.unplug()
    broker_at, answered = time.monotonic() - began, hospital.answered
    time.sleep(site.load["broker_away_s"])
    accepted_without = hospital.answered - answered
    meanwhile = states()["succeeded"] - done_at
    broker.plug_in()
    back.join()
    found_ids = uploads()
    end = before + len(hospital.files)
    wait_for(lambda: states()["succeeded"] >= end, timeout_s=300, interval_s=0.2)
    took = time.monotonic() - began

    figures = account(hospital, found_ids)
    passed = not any(value for name, value in figures.items() if name != "uploads")
    tell(
        figure="two hosts cut off in mid-load",
        **figures,
        worker_host_cut_at_s=round(cut_at, 1),
        worker_host_away_s=site.load["worker_away_s"],
        broker_cut_at_s=round(broker_at, 1),
        broker_away_s=site.load["broker_away_s"],
        results_while_hosts_were_away=meanwhile,
        uploads_accepted_without_broker=accepted_without,
        upload_median_s=median_s(hospital.spans),
        upload_worst_s=round(max(hospital.spans), 1),
        answers={str(code): count for code, count in sorted(hospital.answers.items(), key=str)},
        all_done_s=round(took, 1),
        passed=passed,
    )
    caches = sorted(path.parent.name for path in (found.folder / "models").glob("*/*")
                    if path.is_dir() and not path.name.startswith("."))  # fmt: skip
    tell(figure="worker hosts that fetched the model by its sha256", hosts=caches)
    return passed


def _set_django_up(database_url: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "fracture_site.settings.test"
    os.environ["DATABASE_URL"] = os.environ["DATABASE_OWNER_URL"] = database_url
    import django

    django.setup()


def tell(**figures: Any) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit(main())

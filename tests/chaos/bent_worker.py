"""The site's Celery application with a worker that dies of one image, or works slowly.

``CHAOS_POISON``: the sha256 of a file whose reading kills the process, as a decoder's crash or the
kernel's memory killer would. ``CHAOS_SLOW_S``: each reading takes so much longer.
``CHAOS_VISIBILITY_S``: Redis delivers a message again after so long.
"""

import os
import signal
import time

from celery.signals import worker_init

from fracture_site.celery import app

if seconds := os.environ.get("CHAOS_VISIBILITY_S"):
    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": int(seconds),
        "unacked_restore_interval": 1,
    }


def bend(**_kwargs) -> None:
    """Put ourselves between the task and the service, before the pool's children are forked."""
    from accounts.tenancy import clinic_scope
    from diagnosis import tasks
    from diagnosis.models import Analysis

    compute = tasks.analysis_compute

    def bent(*, claim):
        with clinic_scope(claim.clinic_id):
            image = Analysis.objects.select_related("image").get(pk=claim.job_id).image
        if image.sha256 == os.environ.get("CHAOS_POISON"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("CHAOS_SLOW_S", "0")))
        return compute(claim=claim)

    tasks.analysis_compute = bent


worker_init.connect(bend)

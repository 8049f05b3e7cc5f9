"""The Celery application; all its settings are in ``fracture_site.settings.celery``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.production")

app = Celery("fracture_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="housekeeping")
app.autodiscover_tasks(related_name="worker")  # connects to the life of worker processes

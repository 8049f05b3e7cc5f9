"""Project wiring; the Celery app is imported here so that tasks register everywhere."""

from fracture_site.celery import app as celery_app

__all__ = ["celery_app"]

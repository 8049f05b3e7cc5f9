"""Development: readable errors and local mail; still PostgreSQL and Redis."""

import os

os.environ.setdefault("SECRET_KEY", "development-only-key-never-used-in-production")

from fracture_site.settings.base import *

DEBUG = True
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

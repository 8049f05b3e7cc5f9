"""Tests: the real parts, cheaper hashing, mail in memory."""

import os
import secrets
import tempfile

os.environ.setdefault(
    "SECRET_KEY", "test-only-key-that-is-long-enough-to-pass-the-checks-0123456789"
)
# Made by the storage when it is first used, and removed by tests/conftest.py.
os.environ.setdefault(
    "PRIVATE_MEDIA_ROOT", f"{tempfile.gettempdir()}/fracture-test-media-{secrets.token_hex(8)}"
)
os.environ.setdefault("ML_CACHE_DIR", f"{os.environ['PRIVATE_MEDIA_ROOT']}/cache")

from fracture_site.settings.base import *

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
if STORAGE_BACKEND == "local":  # no test switches the power off
    STORAGES["clinical"]["OPTIONS"]["durable"] = False
WHITENOISE_AUTOREFRESH = True  # tests have no collected static files to list
DELIVERY_PRIVATE_NETWORKS = ["127.0.0.0/8"]  # peers of the tests run on this machine

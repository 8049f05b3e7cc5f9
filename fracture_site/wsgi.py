"""WSGI entry point for gunicorn."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "fracture_site.settings.production")

application = get_wsgi_application()

from accounts.checks import refuse_unbound_role  # noqa: E402 - needs the loaded apps

refuse_unbound_role()

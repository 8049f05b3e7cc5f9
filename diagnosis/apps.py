"""Django's registration of the app."""

from django.apps import AppConfig


class DiagnosisConfig(AppConfig):
    """The clinical domain."""

    name = "diagnosis"
    default_auto_field = "django.db.models.BigAutoField"

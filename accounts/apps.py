"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Clinics, people, roles, tokens, audit."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the deployment checks and what follows from signing out."""
        from accounts import checks, signals  # noqa: F401 - registration by import

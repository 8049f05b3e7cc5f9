"""Django's registration of the app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Clinics, people, roles, tokens, audit."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the deployment checks."""
        from accounts import checks  # noqa: F401 - registration by import

"""Programs of others that may read FHIR (SMART), and what is kept of their secrets: hashes."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from fracture_site.common.models import UUIDModel


class SmartApp(UUIDModel):
    """A program that may read a clinic's FHIR resources; site administrators register it.

    An app of people (SMART App Launch) has the exact addresses that they are sent back to; each
    member allows it for themselves. A backend service has no addresses: it reads in one clinic
    with one member's rights, as far as ``system_scopes`` go. ``jwks`` holds public keys: a program
    that has some proves by a signed statement who it is, others are public clients.
    """

    name = models.CharField(_("name"), max_length=100)
    redirect_uris = ArrayField(
        models.CharField(max_length=500), default=list, blank=True, verbose_name=_("addresses")
    )
    jwks = models.JSONField(null=True, blank=True, editable=False)
    membership = models.ForeignKey(
        "accounts.Membership", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    system_scopes = models.CharField(max_length=500, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("SMART app")
        verbose_name_plural = _("SMART apps")
        constraints = [
            models.CheckConstraint(
                name="smart_service_is_complete",
                condition=Q(membership__isnull=True, system_scopes="")
                | (Q(membership__isnull=False, jwks__isnull=False) & ~Q(system_scopes="")),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def client_id(self) -> str:
        """The app's id, in OAuth's words."""
        return str(self.pk)


class SmartCode(UUIDModel):
    """What an app exchanges for a token, once and within a minute; only its hash is stored."""

    app = models.ForeignKey(SmartApp, on_delete=models.CASCADE, related_name="+")
    membership = models.ForeignKey(
        "accounts.Membership", on_delete=models.CASCADE, related_name="+"
    )
    code_hash = models.CharField(max_length=64, unique=True)
    redirect_uri = models.CharField(max_length=500)
    scopes = models.CharField(max_length=500)
    patient_id = models.UUIDField(null=True)
    challenge = models.CharField(max_length=128)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    token = models.ForeignKey(
        "accounts.ApiToken", null=True, on_delete=models.SET_NULL, related_name="+"
    )

    def __str__(self) -> str:
        return str(self.pk)


class SmartRefresh(UUIDModel):
    """A secret that renews an app's token once; a second use of it ends the token.

    ``scopes`` are those that the member allowed: a renewed token may have fewer, never more.
    """

    token = models.ForeignKey(
        "accounts.ApiToken", on_delete=models.CASCADE, related_name="refreshes"
    )
    secret_hash = models.CharField(max_length=64, unique=True)
    scopes = models.CharField(max_length=500)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return str(self.pk)


class SmartStatement(UUIDModel):
    """A signed statement (``jti``) that was shown once, kept until it would be too old anyway."""

    app = models.ForeignKey(SmartApp, on_delete=models.CASCADE, related_name="+")
    jti_hash = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app", "jti_hash"], name="smart_statement_once")
        ]

    def __str__(self) -> str:
        return str(self.pk)

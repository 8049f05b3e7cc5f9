"""Clinics, people, their roles, API tokens, invitations and the audit trail."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.models import (
    AbstractBaseUser,
    BaseUserManager,
    PermissionsMixin,
)
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.audit_event import AuditEvent as AuditEvent
from accounts.smart_models import SmartApp
from fracture_site.common.models import UUIDModel


class Clinic(UUIDModel):
    """The tenant: every clinical row carries its clinic."""

    name = models.CharField(_("name"), max_length=200)
    address = models.TextField(_("address"), blank=True)
    time_zone = models.CharField(_("time zone"), max_length=60, default="UTC")
    # Of reports, and of messages to members who chose none.
    language = models.CharField(_("language"), max_length=10, default="en")
    intended_use = models.CharField(
        _("intended use"),
        max_length=20,
        choices=[
            ("research", _("Research, not a medical device")),
            ("cleared", _("Clinical use, local clearance attested")),
        ],
        default="research",
    )
    read_first = models.BooleanField(
        _("everybody reads before the AI"),
        default=False,
        help_text=_("Doctors answer for themselves before they are shown the AI's result."),
    )
    second_reader = models.CharField(
        _("second reader"),
        max_length=10,
        choices=[
            ("never", _("Never")),
            ("on_request", _("When the first reader asks for one")),
            ("definite", _("On request, and always when a fracture is reported")),
        ],
        default="never",
    )
    second_factor_required = models.BooleanField(
        _("everybody needs a second factor"),
        default=False,
        help_text=_("Whoever has none reaches only the page that sets one up."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("clinic")
        verbose_name_plural = _("clinics")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class UserManager(BaseUserManager["User"]):
    """Creates people by e-mail address; addresses differ by more than case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Store a person; without a password only a reset or OIDC lets them in."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Store a site administrator, who sees no clinical data by that alone."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Find a person by address, whatever its case."""
        return self.get(email=(username or "").lower())


class User(UUIDModel, AbstractBaseUser, PermissionsMixin):
    """A person who signs in with an e-mail address."""

    email = models.EmailField(_("e-mail address"), unique=True)
    full_name = models.CharField(_("full name"), max_length=150, blank=True)
    title = models.CharField(_("title"), max_length=60, blank=True)
    # Empty: as the browser asks, and in e-mails as the clinic.
    language = models.CharField(_("language"), max_length=10, blank=True)
    is_staff = models.BooleanField(_("site administrator"), default=False)
    is_active = models.BooleanField(_("active"), default=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_any_case_unique")]

    def __str__(self) -> str:
        return self.email

    @property
    def display_name(self) -> str:
        """The name that reports and lists show."""
        return " ".join(part for part in (self.title, self.full_name) if part) or self.email


class Role(models.TextChoices):
    """What a member may do; a person can hold several."""

    TECHNICIAN = "technician", _("Technician")
    DOCTOR = "doctor", _("Doctor")
    CLINIC_ADMIN = "clinic_admin", _("Clinic administrator")


def _roles_field() -> "ArrayField[list[str], list[str]]":
    return ArrayField(
        models.CharField(max_length=20, choices=Role.choices), size=3, verbose_name=_("roles")
    )


def membership_in_force(prefix: str = "") -> Q:
    """Return the condition of memberships that give rights now; ``prefix`` leads to them."""
    endless = Q(**{f"{prefix}expires_at__isnull": True})
    return Q(**{f"{prefix}is_active": True}) & (
        endless | Q(**{f"{prefix}expires_at__gt": timezone.now()})
    )


class Membership(UUIDModel):
    """A person's place in one clinic, with one or more roles.

    One with ``expires_at`` is break-glass access: it ends by itself.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="memberships")
    roles = _roles_field()
    in_training = models.BooleanField(_("in training"), default=False)
    read_first = models.BooleanField(
        _("reads before the AI"),
        null=True,
        blank=True,
        help_text=_("Unknown: as the clinic says, and always in training."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    expires_at = models.DateTimeField(_("break-glass access until"), null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "clinic"], name="membership_once_per_clinic"),
            models.CheckConstraint(
                name="membership_has_known_roles",
                condition=Q(roles__len__gt=0, roles__contained_by=list(Role.values)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.clinic_id}"

    @property
    def is_in_force(self) -> bool:
        """Whether the membership gives rights now."""
        return self.is_active and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def role_names(self) -> list[str]:
        """Translated roles."""
        return [str(Role(role).label) for role in self.roles]

    @property
    def reads_first(self) -> bool:
        """Whether this member answers before the AI's result is shown."""
        if self.read_first is not None:
            return self.read_first
        return self.in_training or self.clinic.read_first


class UseAttestation(UUIDModel):
    """That a clinic's administrator attested, or took back, local clearance; never changed."""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="attestations")
    cleared = models.BooleanField()
    statement = models.TextField(_("statement"), blank=True, max_length=2000)
    reference = models.CharField(_("reference"), max_length=200, blank=True)
    attested_name = models.CharField(_("name of who attests"), max_length=200, blank=True)
    attested_on = models.DateField(_("date"), null=True, blank=True)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("attestation of use")
        verbose_name_plural = _("attestations of use")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                name="attestation_says_who_and_when",
                condition=Q(cleared=False)
                | (
                    ~Q(statement="")
                    & ~Q(reference="")
                    & ~Q(attested_name="")
                    & Q(attested_on__isnull=False)
                ),
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Invitation(UUIDModel):
    """A promise of a membership, opened by a link that only its hash is stored of."""

    clinic = models.ForeignKey(Clinic, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(_("e-mail address"))
    roles = _roles_field()
    token_hash = models.CharField(max_length=64, unique=True)
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                "clinic",
                Lower("email"),
                condition=Q(accepted_at__isnull=True, revoked_at__isnull=True),
                name="invitation_one_open_per_address",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def role_names(self) -> list[str]:
        """Translated roles."""
        return [str(Role(role).label) for role in self.roles]


class ApiToken(UUIDModel):
    """A named key of one membership for other software; only its hash is stored.

    One with ``smart_scopes`` was given to a SMART ``app``: it opens FHIR alone, and there only the
    types that the scopes name; those of ``patient/`` for the patient of the launch alone. While
    ``renewable_until`` lies ahead, the app renews the secret under the same row.
    """

    class Scope(models.TextChoices):
        """``read`` allows safe methods only."""

        READ = "read", _("Read")
        WRITE = "write", _("Read and write")

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100)
    scope = models.CharField(_("scope"), max_length=5, choices=Scope.choices, default=Scope.READ)
    app = models.ForeignKey(
        SmartApp, null=True, blank=True, editable=False, on_delete=models.CASCADE, related_name="+"
    )
    smart_scopes = models.CharField(max_length=500, blank=True, editable=False)
    patient_id = models.UUIDField(null=True, blank=True, editable=False)
    renewable_until = models.DateTimeField(null=True, blank=True, editable=False)
    token_hash = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=8)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        constraints = [
            models.CheckConstraint(
                name="token_scopes_iff_app",
                condition=Q(app__isnull=True, smart_scopes="")
                | (Q(app__isnull=False, scope="read") & ~Q(smart_scopes="")),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def ends_at(self) -> datetime | None:
        """When it works no longer, renewals included; never when ``None``."""
        return self.renewable_until or self.expires_at

"""Tenancy: each clinical row carries its clinic, each read goes through ``for_user``."""

from typing import Any, ClassVar, Self, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Clinic, Membership, User, membership_in_force
from accounts.tenancy import current_clinic_id
from fracture_site.common.models import UUIDModel

M = TypeVar("M", bound="ClinicOwnedModel", covariant=True)


class ClinicOwnedQuerySet(models.QuerySet[M]):
    """The only door to clinical rows for code that acts for a person."""

    def for_user(self, user: User | AnonymousUser) -> Self:
        """Keep the rows of the current clinic while ``user`` is an active member of it.

        There is no superuser bypass: anonymous, inactive and unaffiliated users
        all get an empty queryset, and so does code outside a clinic's scope.
        Rows of erased patients are left out; ``counted_for`` has them.
        """
        rows = self.counted_for(user)
        return (
            rows.filter(**{f"{path}__isnull": True})
            if (path := self.model.erased_at_path)
            else rows
        )

    def counted_for(self, user: User | AnonymousUser) -> Self:
        """Keep the same rows and those of erased patients: for figures alone.

        What is left of an erased patient names nobody, and still counts.
        """
        clinic_id = current_clinic_id()
        if clinic_id is None or not user.is_active or not isinstance(user, User):
            return self.none()
        clinics = Membership.objects.filter(
            membership_in_force(), user=user, clinic_id=clinic_id, clinic__is_active=True
        ).values("clinic_id")
        return self.filter(clinic_id__in=clinics)


class ClinicOwnedModel(UUIDModel):
    """A row that belongs to one clinic.

    The clinic is repeated on every table (not reached through joins) so that
    scoping is one indexed filter, and so that PostgreSQL row-level security
    can repeat it as a second wall.
    """

    # Where a row says that its patient was erased; rows without are deleted then, or name nobody.
    erased_at_path: ClassVar[str] = ""

    clinic = models.ForeignKey(Clinic, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ClinicOwnedQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.pk)


class Priority(models.IntegerChoices):
    """How soon the requester needs an answer; lower is sooner."""

    STAT = 0, _("Emergency")
    URGENT = 1, _("Urgent")
    ROUTINE = 2, _("Routine")


class Job(ClinicOwnedModel):
    """A row that is a promise of work; see ``diagnosis.jobs`` for the only code that moves it.

    Legal moves::

        QUEUED -> RUNNING -> SUCCEEDED
                     |-----> FAILED
                     `-----> QUEUED   (transient error or lost worker)
        QUEUED | RUNNING -> CANCELLED

    ``token`` is renewed by each claim: only its holder may finish, so a slow
    worker cannot overwrite a newer result.
    """

    class Status(models.TextChoices):
        """Public state."""

        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Analysing")
        SUCCEEDED = "succeeded", _("Done")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    OPEN: ClassVar[tuple[str, ...]] = (Status.QUEUED, Status.RUNNING)
    wake_task: ClassVar[str]

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.ROUTINE)
    attempts = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, editable=False)
    due_at = models.DateTimeField(db_default=Now())
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        """Whether the state can still change."""
        return self.status in self.OPEN


def job_constraints(name: str) -> list[models.BaseConstraint]:
    """Return what the database guarantees of each job table."""
    return [
        models.CheckConstraint(
            name=f"{name}_status_known",
            condition=Q(status__in=Job.Status.values),
        ),
        models.CheckConstraint(
            name=f"{name}_finished_iff_final",
            condition=Q(status__in=Job.OPEN, finished_at__isnull=True)
            | Q(status__in=["succeeded", "failed", "cancelled"], finished_at__isnull=False),
        ),
        models.CheckConstraint(
            name=f"{name}_leased_iff_running",
            condition=Q(status="running", lease_expires_at__isnull=False, token__isnull=False)
            | (~Q(status="running") & Q(lease_expires_at__isnull=True)),
        ),
        models.CheckConstraint(
            name=f"{name}_code_iff_failed",
            condition=Q(status="failed") & ~Q(error_code="") | ~Q(status="failed"),
        ),
    ]


def job_indexes(name: str) -> list[models.Index]:
    """Return the indexes that claiming and sweeping use."""
    return [
        models.Index(
            fields=["priority", "clinic", "due_at"],
            name=f"{name}_claim",
            condition=Q(status="queued"),
        ),
        models.Index(fields=["clinic"], name=f"{name}_running", condition=Q(status="running")),
    ]


def choices_check(field: str, values: list[Any], name: str) -> models.CheckConstraint:
    """Return a constraint that the column holds one of its choices."""
    return models.CheckConstraint(name=name, condition=Q(**{f"{field}__in": values}))

"""A person in one clinic."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from diagnosis.models.base import ClinicOwnedModel, choices_check


class Patient(ClinicOwnedModel):
    """A person in one clinic, with that clinic's record number.

    A merged patient stays as a row that points to the one that was kept
    (``merged_into``), so that the merge can be undone. An erased one stays as a row
    without name, number and birth date, so that what was counted stays counted.
    """

    erased_at_path: ClassVar[str] = "erased_at"

    class Sex(models.TextChoices):
        """Administrative sex, as in DICOM (0010,0040) plus unknown."""

        FEMALE = "female", _("Female")
        MALE = "male", _("Male")
        OTHER = "other", _("Other")
        UNKNOWN = "unknown", _("Unknown")

    record_number = models.CharField(_("record number"), max_length=64)
    given_name = models.CharField(_("given name"), max_length=100, blank=True)
    family_name = models.CharField(_("family name"), max_length=100)
    birth_date = models.DateField(_("birth date"), null=True, blank=True)
    sex = models.CharField(_("sex"), max_length=10, choices=Sex.choices, default=Sex.UNKNOWN)
    merged_into = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="merged_patients"
    )
    # When the newest message was written that another system has told the person by.
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    search = SearchVectorField(null=True, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "record_number"], name="patient_record_number_once_per_clinic"
            ),
            choices_check("sex", ["female", "male", "other", "unknown"], "patient_sex_known"),
            models.CheckConstraint(
                name="patient_erased_is_nobody",
                condition=Q(erased_at__isnull=True)
                | Q(given_name="", family_name="", birth_date__isnull=True, search__isnull=True),
            ),
            models.CheckConstraint(
                name="patient_not_merged_into_itself",
                condition=Q(merged_into__isnull=True) | ~Q(merged_into=models.F("id")),
            ),
        ]
        indexes = [
            GinIndex(fields=["search"]),
            models.Index(fields=["clinic", "-created_at"]),
            models.Index(
                fields=["clinic", "birth_date"],
                name="patient_born",
                condition=Q(merged_into__isnull=True),
            ),
        ]

    @property
    def full_name(self) -> str:
        """Family name first, as on worklists."""
        return ", ".join(part for part in (self.family_name, self.given_name) if part)

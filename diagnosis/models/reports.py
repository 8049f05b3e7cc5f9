"""What a doctor writes and signs."""

from typing import ClassVar

from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Concat, Trim
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, choices_check
from diagnosis.models.studies import Study

_NOTHING = Value("", output_field=models.TextField())


def _states(*states: str) -> Func:
    """Return whether a finding in one of the states is among the reviewed ones."""
    wanted = " || ".join(f'@ == "{state}"' for state in states)
    return Func(
        F("reviewed_findings"),
        Value(f"$[*].state ? ({wanted})"),
        function="jsonb_path_exists",
        output_field=models.BooleanField(),
    )


class Report(ClinicOwnedModel):
    """The report of one study; its text is in its versions."""

    erased_at_path: ClassVar[str] = "study__erased_at"

    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="report")

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")


class ReportVersion(ClinicOwnedModel):
    """One text of a report: at most one draft; signed versions never change.

    A trigger refuses UPDATE and DELETE of a signed row for every role, so an
    amendment is always a new version that says why (``reason``). Only while its patient is
    being erased can the texts be emptied, never altered. ``revision``
    counts saves of the draft: a client sends the one it has read (``If-Match``).
    ``basis`` fingerprints the patient, images and result that the writer saw.
    ``result`` is the study's result as it was when the draft was signed, ``reviewed_findings``
    what doctors had decided about its findings, and the ones they had added.
    """

    erased_at_path: ClassVar[str] = "erased_at"

    class Status(models.TextChoices):
        """``draft`` can be edited; ``signed`` is final."""

        DRAFT = "draft", _("Draft")
        SIGNED = "signed", _("Signed")

    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.DRAFT)
    revision = models.PositiveIntegerField(default=1)
    basis = models.CharField(
        max_length=64, blank=True, help_text="What the writer was shown; see services.report_basis"
    )
    reason = models.TextField(_("reason for the amendment"), blank=True, max_length=2000)
    technique = models.TextField(_("technique"), blank=True, max_length=10000)
    comparison = models.TextField(_("comparison"), blank=True, max_length=10000)
    findings = models.TextField(_("findings"), blank=True, max_length=20000)
    impression = models.TextField(_("impression"), blank=True, max_length=10000)
    recommendation = models.TextField(_("recommendation"), blank=True, max_length=10000)
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    updated_at = models.DateTimeField(auto_now=True)
    result = models.JSONField(null=True, blank=True)
    reviewed_findings = models.JSONField(
        null=True,
        blank=True,
        help_text="What was decided about each finding when this was signed",
    )
    signed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    signer_name = models.CharField(max_length=250, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    second_signer = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    second_signer_name = models.CharField(max_length=250, blank=True)
    content_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    pdf_key = models.CharField(max_length=200, blank=True, editable=False)
    pdf_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    # What is counted of many reports, taken out of the two documents above by the database itself,
    # so that nobody has to keep it in step. "" means that the version does not say.
    answer = models.GeneratedField(
        expression=Case(
            When(reviewed_findings__isnull=True, then=Value("")),
            When(_states("accepted", "moved", "added"), then=Value("yes")),
            When(_states("proposed"), then=Value("unsure")),
            default=Value("no"),
        ),
        output_field=models.CharField(max_length=6),
        db_persist=True,
    )
    ai_verdict = models.GeneratedField(
        expression=Coalesce(KT("result__verdict"), _NOTHING),
        output_field=models.CharField(max_length=14),
        db_persist=True,
    )
    ai_probability = models.GeneratedField(
        expression=Cast(KT("result__probability"), models.FloatField()),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )
    ai_region = models.GeneratedField(
        expression=Coalesce(KT("result__region"), _NOTHING),
        output_field=models.CharField(max_length=20),
        db_persist=True,
    )
    # Name and version; "*" where several models read the images.
    ai_model = models.GeneratedField(
        expression=Case(
            When(Exact(KT("result__mixed_models"), "true"), then=Value("*")),
            default=Trim(
                Concat(
                    KT("result__model__name"),
                    Value(" ", output_field=models.TextField()),
                    KT("result__model__version"),
                )
            ),
            output_field=models.TextField(),
        ),
        output_field=models.CharField(max_length=141),
        db_persist=True,
    )

    class Meta:
        verbose_name = _("report version")
        verbose_name_plural = _("report versions")
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["report", "number"], name="report_version_once"),
            models.UniqueConstraint(
                fields=["report"], condition=Q(status="draft"), name="report_one_draft"
            ),
            choices_check("status", ["draft", "signed"], "report_version_status_known"),
            models.CheckConstraint(
                name="report_version_signed_is_complete",
                condition=Q(
                    status="draft",
                    signed_by__isnull=True,
                    signed_at__isnull=True,
                    pdf_key="",
                    content_sha256="",
                )
                | (
                    Q(status="signed", signed_by__isnull=False, signed_at__isnull=False)
                    & (Q(erased_at__isnull=False) | (~Q(pdf_key="") & ~Q(content_sha256="")))
                ),
            ),
            models.CheckConstraint(
                name="report_version_erased_is_empty",
                condition=Q(erased_at__isnull=True)
                | Q(
                    reason="",
                    technique="",
                    comparison="",
                    findings="",
                    impression="",
                    recommendation="",
                    pdf_key="",
                    content_sha256="",
                ),
            ),
            models.CheckConstraint(
                name="report_version_amendment_has_reason",
                condition=Q(number=1) | ~Q(reason="") | Q(erased_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["content_sha256"],
                condition=Q(status="signed"),
                name="report_version_by_digest",
            ),
            models.Index(
                fields=["clinic", "author"],
                condition=Q(status="draft"),
                name="report_version_drafts",
            ),
        ]

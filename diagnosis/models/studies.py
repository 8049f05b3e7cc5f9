"""One imaging request and its images."""

from datetime import date
from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models.base import ClinicOwnedModel, Priority, choices_check
from diagnosis.models.patients import Patient

if TYPE_CHECKING:
    from diagnosis.models.analyses import Analysis


# A study whose analysis waits or failed needs a reader all the same.
WAITING_FOR_READER = ("queued", "running", "ready", "failed")
WORKLIST_FILTERS = (
    "status",
    "new_image_after_report",
    "verdict",
    "region",
    "priority",
    "side",
    "created_by",
    "erased_at",
)


def own_work(study: str = "") -> Q:
    """Return the condition of studies that statistics count; ``study`` leads to them.

    What was fetched from an archive to be compared with is nobody's work here, unless somebody
    sent it here to be read after all.
    """
    return Q(**{f"{study}__fetched_from" if study else "fetched_from": None})


class Verdict(models.TextChoices):
    """The AI's answer from two thresholds, in the words of the screens."""

    DEFINITE = "definite", _("Fracture")
    SUSPICION = "suspicion", _("Suspicion")
    NEGATIVE = "negative", _("No fracture seen")
    CANNOT_ASSESS = "cannot_assess", _("Cannot assess")


class Study(ClinicOwnedModel):
    """One imaging request: clinical question, one or more images, one worklist entry.

    ``status``, ``verdict``, ``probability``, ``region``, ``severity``, ``urgency`` and
    ``result`` are derived by ``diagnosis.services.study_results`` from the
    images' newest analyses and the report; nothing else writes them. They are
    stored so that the worklist sorts and filters by index.
    """

    erased_at_path: ClassVar[str] = "erased_at"

    class Status(models.TextChoices):
        """Where the study stands."""

        EMPTY = "empty", _("No images")
        QUEUED = "queued", _("Waiting")
        RUNNING = "running", _("Analysing")
        READY = "ready", _("To read")
        FAILED = "failed", _("Failed")
        REPORTED = "reported", _("Reported")
        PRIOR = "prior", _("From the archive")

    class BodyPart(models.TextChoices):
        """What was requested; the model's own reading is ``region``."""

        HAND = "hand", _("Hand")
        WRIST = "wrist", _("Wrist")
        FOREARM = "forearm", _("Forearm")
        ELBOW = "elbow", _("Elbow")
        HUMERUS = "humerus", _("Upper arm")
        SHOULDER = "shoulder", _("Shoulder")
        HIP = "hip", _("Hip or pelvis")
        FEMUR = "femur", _("Thigh")
        KNEE = "knee", _("Knee")
        LOWER_LEG = "lower_leg", _("Lower leg")
        ANKLE = "ankle", _("Ankle")
        FOOT = "foot", _("Foot")

    class Side(models.TextChoices):
        """Laterality, as ordered."""

        LEFT = "left", _("Left")
        RIGHT = "right", _("Right")
        BOTH = "both", _("Both")

    patient = models.ForeignKey(Patient, on_delete=models.PROTECT, related_name="studies")
    # Whose study it was before that patient was merged; given back when the merge is undone.
    merged_from = models.ForeignKey(
        Patient, null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    clinical_question = models.TextField(_("clinical question"), blank=True, max_length=2000)
    body_part = models.CharField(
        _("body part"), max_length=12, choices=BodyPart.choices, blank=True
    )
    side = models.CharField(_("side"), max_length=5, choices=Side.choices, blank=True)
    priority = models.PositiveSmallIntegerField(
        _("priority"), choices=Priority.choices, default=Priority.ROUTINE
    )
    accession_number = models.CharField(_("accession number"), max_length=64, blank=True)
    study_instance_uid = models.CharField(max_length=64, blank=True)
    # As its first DICOM image says them, by the clock of whoever took it.
    study_date = models.DateField(null=True, blank=True)
    study_time = models.TimeField(null=True, blank=True)
    # The archive that it was fetched from for comparison; such a study is nobody's work here.
    fetched_from = models.ForeignKey(
        "diagnosis.Destination",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        editable=False,
    )
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    assigned_to = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    updated_at = models.DateTimeField(auto_now=True)
    # patient's names, numbers and the question, normalised, for the worklist's search
    search = SearchVectorField(null=True, editable=False)

    status = models.CharField(max_length=10, choices=Status.choices, default=Status.EMPTY)
    verdict = models.CharField(max_length=14, choices=Verdict.choices, blank=True)
    probability = models.FloatField(null=True, blank=True)
    region = models.CharField(max_length=20, blank=True)
    severity = models.CharField(max_length=12, blank=True)
    urgency = models.FloatField(
        default=0.0, help_text="Rank on the worklist, higher is read first; see study_results"
    )
    # The worklist's order has one direction, so that a page begins by one comparison of rows.
    rank = models.GeneratedField(
        expression=models.F("urgency") * models.Value(-1.0),
        output_field=models.FloatField(),
        db_persist=True,
    )
    result = models.JSONField(null=True, blank=True)
    result_version = models.CharField(max_length=20, blank=True)
    new_image_after_report = models.BooleanField(default=False)
    # Waits beyond the clinic's target; services.study_lateness keeps it and the urgency in line.
    is_late = models.BooleanField(default=False, editable=False)
    # Of an erased patient's study no more is known than how old the person was, as a band.
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)
    erased_age = models.CharField(max_length=8, blank=True, editable=False)
    # Set on a row whose result was taken off for this reader; see selectors.first_reads.
    ai_hidden = False

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["clinic", "accession_number"],
                condition=~Q(accession_number=""),
                name="study_accession_number_once_per_clinic",
            ),
            choices_check(
                "status",
                ["empty", "queued", "running", "ready", "failed", "reported", "prior"],
                "study_status_known",
            ),
            choices_check("priority", [0, 1, 2], "study_priority_known"),
            models.CheckConstraint(
                name="study_erased_is_nobodys",
                condition=Q(erased_at__isnull=True)
                | Q(
                    clinical_question="",
                    accession_number="",
                    study_instance_uid="",
                    study_date__isnull=True,
                    search__isnull=True,
                ),
            ),
            models.CheckConstraint(
                name="study_probability_is_one",
                condition=Q(probability__isnull=True)
                | Q(probability__gte=0.0, probability__lte=1.0),
            ),
        ]
        indexes = [
            # Each tab in its complete order, with what filters and counts read.
            models.Index(
                fields=["clinic", "rank", "created_at", "id"],
                name="study_worklist",
                include=WORKLIST_FILTERS,
            ),
            models.Index(
                fields=["clinic", "rank", "created_at", "id"],
                name="study_unread",
                include=WORKLIST_FILTERS,
                condition=Q(status__in=WAITING_FOR_READER) | Q(new_image_after_report=True),
            ),
            models.Index(
                fields=["clinic", "status", "rank", "created_at", "id"], name="study_by_status"
            ),
            models.Index(
                fields=["assigned_to", "clinic"],
                name="study_assigned",
                condition=Q(assigned_to__isnull=False),
            ),
            models.Index(fields=["clinic", "updated_at"], name="study_changed"),
            models.Index(fields=["clinic", "-created_at", "id"], name="study_newest"),
            models.Index(fields=["patient", "-created_at"], name="study_of_patient"),
            # What other systems ask by.
            models.Index(
                fields=["clinic", "study_instance_uid"],
                condition=~Q(study_instance_uid=""),
                name="study_by_uid",
            ),
            models.Index(
                fields=["clinic", "study_date"],
                condition=Q(study_date__isnull=False),
                name="study_by_date",
            ),
            GinIndex(fields=["search"]),
        ]

    @property
    def examined_on(self) -> date:
        """The day of the examination; that of the registration when no image says it."""
        return self.study_date or self.created_at.date()


class StudyImage(ClinicOwnedModel):
    """One stored image: the untouched original, and the sanitised copy that is served.

    ``sha256`` is of the original bytes and unique in the clinic (never across
    clinics: that would tell one clinic about another's images). An erased image is a row
    without objects; its ``sha256`` is a random number then.
    """

    erased_at_path: ClassVar[str] = "erased_at"

    class Capture(models.TextChoices):
        """How the picture came about, where that matters for its trust."""

        FILE = "", _("From a file")
        FILM_PHOTO = "film_photo", _("Photograph of a film, straightened")

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="images")
    position = models.PositiveSmallIntegerField(default=0)
    sha256 = models.CharField(max_length=64, editable=False)
    size_bytes = models.PositiveBigIntegerField()
    format = models.CharField(max_length=10)
    original_key = models.CharField(max_length=200, editable=False)
    served_key = models.CharField(max_length=200, editable=False)
    served_sha256 = models.CharField(max_length=64, editable=False)
    served_content_type = models.CharField(max_length=40)
    rendition_keys = ArrayField(
        models.CharField(max_length=200), editable=False, help_text="One web-size JPEG a frame"
    )
    thumbnail_key = models.CharField(max_length=200, editable=False)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bits = models.PositiveSmallIntegerField()
    frame_count = models.PositiveIntegerField(default=1)
    modality = models.CharField(max_length=16, blank=True)
    view_position = models.CharField(max_length=16, blank=True)
    laterality = models.CharField(max_length=1, blank=True)
    body_part_examined = models.CharField(max_length=16, blank=True)
    pixel_spacing = models.JSONField(null=True, blank=True)
    sop_instance_uid = models.CharField(max_length=64, blank=True)
    series_instance_uid = models.CharField(max_length=64, blank=True)
    sop_class_uid = models.CharField(max_length=64, blank=True)
    acquired_at = models.DateTimeField(null=True, blank=True)
    # What of the file's header objects made of this image must repeat; nothing that names a person.
    dicom_header = models.JSONField(default=dict, blank=True, editable=False)
    warnings = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    capture = models.CharField(max_length=10, choices=Capture.choices, blank=True)
    # Of a film's photo: the corners that were cut out and what was measured. The original is the
    # photo; the copy that is served and analysed is the straightened film.
    capture_details = models.JSONField(default=dict, blank=True, editable=False)
    photo_key = models.CharField(max_length=200, blank=True, editable=False)
    uploaded_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    erased_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["position", "created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["clinic", "sha256"], name="image_once_per_clinic"),
            models.UniqueConstraint(
                fields=["clinic", "sop_instance_uid"],
                condition=~Q(sop_instance_uid=""),
                name="image_sop_instance_once_per_clinic",
            ),
            models.CheckConstraint(
                name="image_photo_iff_film_photo",
                condition=Q(capture="", photo_key="")
                | (Q(capture="film_photo") & (~Q(photo_key="") | Q(erased_at__isnull=False))),
            ),
            models.CheckConstraint(
                name="image_erased_has_no_objects",
                condition=Q(erased_at__isnull=True)
                | Q(
                    original_key="",
                    served_key="",
                    rendition_keys__len=0,
                    thumbnail_key="",
                    photo_key="",
                    sop_instance_uid="",
                ),
            ),
            models.CheckConstraint(
                name="image_has_pixels",
                condition=Q(width__gt=0, height__gt=0, frame_count__gt=0),
            ),
        ]
        indexes = [models.Index(fields=["study", "position"])]

    @property
    def newest_analysis(self) -> "Analysis | None":
        """The last run over this image, whatever its state; free of queries when prefetched."""
        return next(iter(self._analyses()), None)

    @property
    def newest_result(self) -> "Analysis | None":
        """The last run that has succeeded."""
        return next((run for run in self._analyses() if run.status == "succeeded"), None)

    def _analyses(self) -> "list[Analysis]":
        return sorted(self.analyses.all(), key=lambda run: run.created_at, reverse=True)

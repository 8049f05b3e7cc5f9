"""What the model said: of one image, and of a study."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import BoxField, PriorityField
from diagnosis.models import Analysis, Finding, ModelVersion, Verdict

_PROBABILITY = "Calibrated, 0 to 1; null when the image cannot be assessed."
REASONS_HELP = (
    "Why it cannot be assessed, stable codes: `too_small`, `blank`, `too_dark`, `too_bright`, "
    "`blurred`, `not_a_radiograph`, `wrong_body_part` (chest, skull, spine, abdomen, teeth), "
    "`cross_section` (a slice of CT, MR or ultrasound), `no_model_for_modality`."
)
WARNINGS_HELP = (
    "What a reader should know, stable codes; more may be added. `photo_of_film`: judged from a "
    "photo of a film or screen, with lower trust; others: `hardware`, `cast`, `truncated_file`, "
    "`for_processing`, `window_ignored`, `animation_first_frame`, `pages_skipped`, "
    "`transparency_flattened`."
)


class ThresholdsSerializer(serializers.Serializer[Any]):
    """From which probability on a verdict is a suspicion, and definite."""

    suspicion = serializers.FloatField()
    definite = serializers.FloatField()


class ModelIdentitySerializer(serializers.ModelSerializer[ModelVersion]):
    """Which artifact made a result."""

    class Meta:
        model = ModelVersion
        fields = ["name", "version", "sha256"]
        read_only_fields = fields


class FindingSerializer(serializers.ModelSerializer[Finding]):
    """One place that looks broken; `type` and `displacement` are blank when not told."""

    id = serializers.UUIDField(read_only=True)
    box = BoxField()
    type = serializers.CharField(source="fracture_type", read_only=True)

    class Meta:
        model = Finding
        fields = [
            "id",
            "box",
            "probability",
            "certainty",
            "type",
            "displacement",
            "severity",
        ]
        read_only_fields = fields


class ImageResultSerializer(serializers.ModelSerializer[Analysis]):
    """The newest finished run over one image; `reasons` say why it cannot be assessed."""

    analysis = serializers.UUIDField(source="id", read_only=True)
    model = ModelIdentitySerializer(source="model_version", read_only=True)
    thresholds = serializers.SerializerMethodField()
    timings_ms = serializers.DictField(child=serializers.FloatField(), read_only=True)
    findings = FindingSerializer(many=True, read_only=True)
    recalled = serializers.BooleanField(
        source="model_version.is_recalled", read_only=True, help_text="The model was recalled."
    )

    class Meta:
        model = Analysis
        fields = [
            "analysis",
            "recalled",
            "verdict",
            "probability",
            "region",
            "severity",
            "reasons",
            "warnings",
            "thresholds",
            "model",
            "timings_ms",
            "findings",
        ]
        read_only_fields = fields
        extra_kwargs = {
            "reasons": {"help_text": REASONS_HELP},
            "warnings": {"help_text": WARNINGS_HELP},
        }

    @extend_schema_field(ThresholdsSerializer)
    def get_thresholds(self, analysis: Analysis) -> dict[str, float]:
        """Return the thresholds as they were stored."""
        return dict(analysis.thresholds)


@extend_schema_serializer(examples=[OpenApiExample("Analysis", examples.ANALYSIS)])
class AnalysisSerializer(serializers.ModelSerializer[Analysis]):
    """One run of the model over one image: the state of the work."""

    image = serializers.UUIDField(source="image_id", read_only=True)
    priority = PriorityField(read_only=True)

    class Meta:
        model = Analysis
        fields = [
            "id",
            "image",
            "status",
            "priority",
            "attempts",
            "error_code",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


@extend_schema_serializer(
    examples=[OpenApiExample("Analyses", {"analyses": [examples.ANALYSIS]}, status_codes=["202"])]
)
class StudyAnalysesSerializer(serializers.Serializer[Any]):
    """The runs that were asked for, one an image."""

    analyses = AnalysisSerializer(many=True, read_only=True)


class ResultFindingSerializer(serializers.Serializer[Any]):
    """One place in one image of the study."""

    id = serializers.UUIDField()
    box = serializers.ListField(
        child=serializers.FloatField(),
        min_length=4,
        max_length=4,
        help_text="x, y, width, height in pixels of the original, origin top left.",
    )
    probability = serializers.FloatField()
    certainty = serializers.ChoiceField(choices=Finding.Certainty.choices)
    type = serializers.CharField(allow_blank=True)
    displacement = serializers.CharField(allow_blank=True)
    severity = serializers.CharField(allow_blank=True)


class ResultImageSerializer(serializers.Serializer[Any]):
    """One image's share of the study's result; `verdict` is null until it is analysed."""

    id = serializers.UUIDField()
    status = serializers.CharField(help_text="State of its newest run.")
    error_code = serializers.CharField(allow_blank=True)
    verdict = serializers.ChoiceField(choices=Verdict.choices, allow_null=True)
    probability = serializers.FloatField(allow_null=True, help_text=_PROBABILITY)
    region = serializers.CharField(allow_blank=True)
    severity = serializers.CharField(allow_blank=True)
    warnings = serializers.ListField(child=serializers.CharField(), help_text=WARNINGS_HELP)
    reasons = serializers.ListField(child=serializers.CharField(), help_text=REASONS_HELP)
    thresholds = ThresholdsSerializer(allow_null=True)
    model = ModelIdentitySerializer(allow_null=True)
    heatmap = serializers.BooleanField(help_text="Whether a heatmap was drawn.")
    timings_ms = serializers.DictField(child=serializers.FloatField())
    findings = ResultFindingSerializer(many=True)


class FindingPlaceSerializer(serializers.Serializer[Any]):
    """Where a break is seen: an image and the finding in it."""

    image = serializers.UUIDField()
    finding = serializers.UUIDField()


class StudyFindingSerializer(serializers.Serializer[Any]):
    """One break of the study; several `places` when two views show the same one."""

    number = serializers.IntegerField()
    probability = serializers.FloatField()
    certainty = serializers.ChoiceField(choices=Finding.Certainty.choices)
    type = serializers.CharField(allow_blank=True)
    displacement = serializers.CharField(allow_blank=True)
    severity = serializers.CharField(allow_blank=True)
    places = FindingPlaceSerializer(many=True)


class StudyResultSerializer(serializers.Serializer[Any]):
    """One verdict over all images of a study, the worst image first.

    Describes what is stored. Further members may be added; clients ignore what
    they do not know.
    """

    version = serializers.CharField(help_text="Version of the rules that made one of many.")
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    probability = serializers.FloatField(allow_null=True, help_text=_PROBABILITY)
    probability_of = serializers.CharField(
        help_text=(
            "What `probability` belongs to. `highest_image`: the highest of the images, calibrated "
            "for one image; with several views it overstates the probability for the study."
        )
    )
    region = serializers.CharField(allow_blank=True)
    severity = serializers.CharField(allow_blank=True)
    thresholds = ThresholdsSerializer()
    model = ModelIdentitySerializer()
    mixed_models = serializers.BooleanField(help_text="Images were read by different models.")
    incomplete = serializers.BooleanField(help_text="An image has no result (yet).")
    images = ResultImageSerializer(many=True)
    findings = StudyFindingSerializer(many=True)
    timings_ms = serializers.DictField(
        child=serializers.FloatField(), help_text="Sum over the images for each stage."
    )
    urgency_reasons = serializers.ListField(child=serializers.CharField())

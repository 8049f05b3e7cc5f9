"""Findings with what doctors decided about them."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import PersonSerializer, may_be_blank
from diagnosis.api.serializers.results import FindingSerializer
from diagnosis.models import Finding, FindingReview
from diagnosis.models.finding_reviews import DESCRIPTION
from diagnosis.models.vocabulary import Displacement, FractureType, RejectReason, Severity
from diagnosis.selectors.findings import PROPOSED, SUGGESTED, ReviewedFinding

_BOX = "x, y, width, height in pixels of the original, origin top left."
_STATES = [(PROPOSED, "Proposed"), *FindingReview.Decision.choices]


class GivenBoxField(serializers.ListField):
    """Four numbers from a client."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.FloatField()
        super().__init__(child=child, min_length=4, max_length=4, help_text=_BOX, **kwargs)


class DescriptionSerializer(serializers.ModelSerializer[FindingReview]):
    """What a doctor says of the fracture; blank is nothing."""

    class Meta:
        model = FindingReview
        fields = list(DESCRIPTION)


class SuggestionSerializer(serializers.Serializer[Any]):
    """The AI's experimental readings that no doctor has replaced."""

    fracture_type = serializers.ChoiceField(choices=FractureType.choices, allow_blank=True)
    displacement = serializers.ChoiceField(choices=Displacement.choices, allow_blank=True)
    severity = serializers.ChoiceField(choices=Severity.choices, allow_blank=True)


class FindingReviewSerializer(serializers.ModelSerializer[FindingReview]):
    """One decision about a finding."""

    box = serializers.SerializerMethodField()
    author = PersonSerializer(read_only=True)

    class Meta:
        model = FindingReview
        fields = [
            "number",
            "decision",
            "box",
            *DESCRIPTION,
            "reject_reason",
            "reject_text",
            "author",
            "created_at",
        ]
        read_only_fields = fields
        extra_kwargs = may_be_blank(*DESCRIPTION, "reject_reason")

    @extend_schema_field(GivenBoxField())
    def get_box(self, review: FindingReview) -> list[float]:
        """Return the box as decided."""
        return [round(side, 1) for side in (review.x, review.y, review.width, review.height)]


@extend_schema_serializer(examples=[OpenApiExample("Finding", examples.REVIEWED_FINDING)])
class ReviewedFindingSerializer(serializers.Serializer[Any]):
    """A finding as it stands: the AI's proposal and the newest decision about it."""

    id = serializers.UUIDField(help_text="The AI finding's id, or the uid of an added one.")
    uid = serializers.UUIDField(help_text="Tracking UID that every carrier repeats.")
    image = serializers.UUIDField(source="image.pk")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=[("ai", "AI"), ("doctor", "Doctor")]
    )
    state = serializers.ChoiceField(choices=_STATES)
    revision = serializers.IntegerField(help_text="What a decision must send as `If-Match`.")
    is_current = serializers.BooleanField(help_text="False: from an earlier run, and confirmed.")
    box = GivenBoxField()
    probability = serializers.FloatField(allow_null=True, help_text="The AI's; null when added.")
    certainty = serializers.ChoiceField(choices=Finding.Certainty.choices)
    description = serializers.SerializerMethodField()
    suggested = serializers.SerializerMethodField()
    ai = FindingSerializer(source="finding", allow_null=True, help_text="As the AI made it.")
    review = FindingReviewSerializer(allow_null=True, help_text="The newest decision.")

    @extend_schema_field(DescriptionSerializer)
    def get_description(self, found: ReviewedFinding) -> dict[str, str]:
        """Return a doctor's words."""
        return {name: found.described(name) for name in DESCRIPTION}

    @extend_schema_field(SuggestionSerializer)
    def get_suggested(self, found: ReviewedFinding) -> dict[str, str]:
        """Return the AI's words."""
        return {name: found.suggested(name) for name in SUGGESTED}


class FindingDetailSerializer(ReviewedFindingSerializer):
    """With every decision, oldest first."""

    history = serializers.SerializerMethodField()

    @extend_schema_field(FindingReviewSerializer(many=True))
    def get_history(self, _found: ReviewedFinding) -> Any:
        """Return the decisions that the view has fetched."""
        return FindingReviewSerializer(self.context["history"], many=True).data


@extend_schema_serializer(examples=[OpenApiExample("Added", examples.FINDING_ADDED)])
class FindingAddSerializer(DescriptionSerializer):
    """A place that the AI has not shown."""

    image = serializers.UUIDField()
    box = GivenBoxField()

    class Meta(DescriptionSerializer.Meta):
        fields = ["image", "box", *DESCRIPTION]


@extend_schema_serializer(examples=[OpenApiExample("Bone", {"bone": "radius"})])
class FindingChangeSerializer(DescriptionSerializer):
    """Another box, or other words; a proposed finding is accepted by that."""

    box = GivenBoxField(required=False)

    class Meta(DescriptionSerializer.Meta):
        fields = ["box", *DESCRIPTION]


@extend_schema_serializer(examples=[OpenApiExample("Reason", {"reason": "growth_plate"})])
class FindingRejectSerializer(serializers.Serializer[Any]):
    """Why it is no fracture."""

    reason = serializers.ChoiceField(choices=RejectReason.choices)
    text = serializers.CharField(required=False, allow_blank=True, max_length=500)

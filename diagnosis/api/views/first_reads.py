"""A reader's own answer, before the AI's result is shown to them."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, operation
from diagnosis.models import FirstRead, FractureAnswer
from diagnosis.selectors import study_get
from diagnosis.services.first_reads import first_read_give

_GIVEN = Refusal(409, "first_read_given", "The first answer stays as it is.")
_PLACES = Refusal(422, "places_unusable", "A place is not on an image of the study.")


class PlaceSerializer(serializers.Serializer[Any]):
    """A place that the reader marked, in pixels of the image."""

    image = serializers.UUIDField()
    x = serializers.FloatField()
    y = serializers.FloatField()
    width = serializers.FloatField()
    height = serializers.FloatField()


@extend_schema_serializer(examples=[OpenApiExample("Answer", {"answer": "yes"})])
class FirstReadSerializer(serializers.ModelSerializer[FirstRead]):
    """Is there a fracture, and where."""

    answer = serializers.ChoiceField(choices=FractureAnswer.choices)
    places = PlaceSerializer(many=True, required=False)

    class Meta:
        model = FirstRead
        fields = ["answer", "places", "created_at"]
        read_only_fields = ["created_at"]


class FirstReadViewSet(ClinicViewSet[FirstRead]):
    """The caller's first read of one study."""

    queryset = FirstRead.objects.none()
    serializer_class = FirstReadSerializer

    @operation(
        "Answer before the AI",
        "Members who read first see nothing of the AI in a study until they have answered, or "
        "its report is signed. The answer is stored once.",
        request=FirstReadSerializer,
        responses={201: FirstReadSerializer},
        errors=("invalid", "not_found", _GIVEN, _PLACES, "idempotency_key_reused"),
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Store the answer."""
        study = study_get(user=self.actor, pk=pk)
        body = FirstReadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        read = first_read_give(
            actor=self.actor,
            study=study,
            answer=body.validated_data["answer"],
            places=body.validated_data.get("places", []),
        )
        return Response(FirstReadSerializer(read).data, status=status.HTTP_201_CREATED)

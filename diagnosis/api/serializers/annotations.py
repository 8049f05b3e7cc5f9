"""What a reader drew for themselves, and pictures that are kept for the report."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.api.fields import PersonSerializer
from diagnosis.models import Annotation, StudyKeyImage

_DRAWN = {
    "kind": "length",
    "frame": 0,
    "points": [[10.0, 20.0], [110.0, 20.0]],
    "text": "",
    "millimetres": None,
}
_ANNOTATION = {
    "id": "2b1f6c52-1d3e-4b6f-9a0c-55c1d7f2b916",
    "image": examples.IMAGE_ID,
    **_DRAWN,
    "revision": 1,
    "created_at": examples.AT,
    "updated_at": examples.AT,
}
_KEPT = {
    "id": "3c1f6c52-1d3e-4b6f-9a0c-55c1d7f2b917",
    "image": examples.IMAGE_ID,
    "caption": "Fracture line",
    "width": 640,
    "height": 480,
    "sha256": examples.SHA256,
    "author": {"id": examples.DOCTOR_ID, "name": "Dr. Example"},
    "created_at": examples.AT,
}


class PointField(serializers.ListField):
    """x and y in pixels of the original, origin top left."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=serializers.FloatField(), min_length=2, max_length=2, **kwargs)


@extend_schema_serializer(examples=[OpenApiExample("Annotation", _ANNOTATION)])
class AnnotationSerializer(serializers.ModelSerializer[Annotation]):
    """One measurement or note of the caller; values follow from the points when it is shown."""

    image = serializers.UUIDField(source="image_id", read_only=True)
    points = serializers.ListField(child=PointField(), read_only=True)

    class Meta:
        model = Annotation
        fields = [
            "id", "image", "kind", "frame", "points", "text", "millimetres", "revision",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Length", _DRAWN)])
class AnnotationDrawSerializer(serializers.Serializer[Any]):
    """What is drawn; an angle has three points, a Cobb angle four, a note one."""

    kind = serializers.ChoiceField(choices=Annotation.Kind.choices)
    frame = serializers.IntegerField(min_value=0, max_value=10**6, default=0)
    points = serializers.ListField(child=PointField(), min_length=1, max_length=4)
    text = serializers.CharField(max_length=500, allow_blank=True, default="")
    millimetres = serializers.FloatField(
        allow_null=True, default=None, help_text="True length of the object of a calibration."
    )


@extend_schema_serializer(examples=[OpenApiExample("Key image", _KEPT)])
class KeyImageSerializer(serializers.ModelSerializer[StudyKeyImage]):
    """A picture of the viewer that the report shows."""

    image = serializers.UUIDField(source="image_id", read_only=True)
    author = PersonSerializer(read_only=True)

    class Meta:
        model = StudyKeyImage
        fields = ["id", "image", "caption", "width", "height", "sha256", "author", "created_at"]
        read_only_fields = fields


@extend_schema_field(OpenApiTypes.BINARY)
class _PictureField(serializers.FileField):
    """The bytes of a PNG."""


class KeyImageKeepSerializer(serializers.Serializer[Any]):
    """A PNG and its caption."""

    file = _PictureField()
    caption = serializers.CharField(max_length=200, allow_blank=True, default="")

"""An upload in parts."""

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.models import ResumableUpload


@extend_schema_serializer(examples=[OpenApiExample("Upload", examples.RESUMABLE_UPLOAD)])
class ResumableUploadSerializer(serializers.ModelSerializer[ResumableUpload]):
    """What has arrived of a file; `image` is null until it was made."""

    study = serializers.UUIDField(source="study_id", read_only=True)
    image = serializers.UUIDField(source="image_id", read_only=True, allow_null=True)
    offset = serializers.IntegerField(source="received", read_only=True)

    class Meta:
        model = ResumableUpload
        fields = ["id", "study", "image", "offset", "length", "expires_at"]
        read_only_fields = fields

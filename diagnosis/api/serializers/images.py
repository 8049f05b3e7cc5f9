"""Images of a study."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.reverse import reverse

from diagnosis.api import examples
from diagnosis.api.fields import may_be_blank
from diagnosis.api.serializers.results import AnalysisSerializer, ImageResultSerializer
from diagnosis.models import StudyImage

_PARTS = ("file", "rendition", "thumbnail")


class ImageLinksSerializer(serializers.Serializer[Any]):
    """Addresses of the bytes; `heatmap` is null until a run has drawn one.

    `photo` is the photograph that a film was straightened out of, null for other images.
    """

    file = serializers.URLField()
    rendition = serializers.URLField()
    thumbnail = serializers.URLField()
    heatmap = serializers.URLField(allow_null=True)
    photo = serializers.URLField(allow_null=True)


class PixelSpacingSerializer(serializers.Serializer[Any]):
    """Millimetres a pixel; they hold in the `patient` or at the `imager` (the detector)."""

    row = serializers.FloatField()
    column = serializers.FloatField()
    origin = serializers.CharField()


@extend_schema_serializer(examples=[OpenApiExample("Image", examples.IMAGE)])
class ImageSerializer(serializers.ModelSerializer[StudyImage]):
    """One stored image, the state of its newest run and its newest result."""

    study = serializers.UUIDField(source="study_id", read_only=True)
    analysis = AnalysisSerializer(source="newest_analysis", read_only=True, allow_null=True)
    result = ImageResultSerializer(source="newest_result", read_only=True, allow_null=True)
    pixel_spacing = PixelSpacingSerializer(read_only=True, allow_null=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = StudyImage
        fields = [
            "id",
            "study",
            "position",
            "width",
            "height",
            "bits",
            "frame_count",
            "format",
            "modality",
            "view_position",
            "laterality",
            "body_part_examined",
            "pixel_spacing",
            "size_bytes",
            "sha256",
            "warnings",
            "capture",
            "created_at",
            "analysis",
            "result",
            "links",
        ]
        read_only_fields = fields
        extra_kwargs = may_be_blank("capture")

    @extend_schema_field(ImageLinksSerializer)
    def get_links(self, image: StudyImage) -> dict[str, str | None]:
        """Return the addresses of the image's parts."""
        request = self.context["request"]
        links: dict[str, str | None] = {
            part: reverse(f"api:image-{part}", args=[image.pk], request=request) for part in _PARTS
        }
        run = image.newest_result
        drawn = run is not None and run.heatmap_key
        links["heatmap"] = (
            reverse("api:image-heatmap", args=[image.pk], request=request) if drawn else None
        )
        links["photo"] = (
            reverse("api:image-photo", args=[image.pk], request=request)
            if image.photo_key
            else None
        )
        return links


class UploadSerializer(serializers.Serializer[Any]):
    """One radiograph; what is in it decides, not its name or declared type."""

    file = serializers.FileField(
        allow_empty_file=True, help_text="PNG, JPEG, TIFF or DICOM; up to the site's limit."
    )
    capture = serializers.ChoiceField(
        choices=[StudyImage.Capture.FILM_PHOTO.value],
        required=False,
        help_text=(
            "`film_photo`: the file (JPEG or PNG) is a photograph of a film on a light box. It is "
            "checked, straightened and marked; the photograph stays beside it."
        ),
    )
    corners = serializers.CharField(
        required=False,
        max_length=1000,
        help_text=(
            "With `film_photo`: JSON, the film's four corners `[x, y]` as shares of the "
            "photograph's width and height. Left out: the server looks for them."
        ),
    )


@extend_schema_serializer(examples=[OpenApiExample("Study", {"study": examples.STUDY_ID})])
class ImageMoveSerializer(serializers.Serializer[Any]):
    """Where the image belongs."""

    study = serializers.UUIDField(help_text="Id of the study that the image belongs to.")


class FrameSerializer(serializers.Serializer[Any]):
    """Which frame of a multi-frame image."""

    frame = serializers.IntegerField(
        min_value=0, default=0, help_text="Number of the frame, from 0."
    )

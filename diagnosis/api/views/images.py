"""Images: their data, their bytes, and moving one to the study it belongs to."""

from uuid import UUID

from django.http import HttpResponseBase
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, binary, operation
from diagnosis.api.serializers.images import FrameSerializer, ImageMoveSerializer, ImageSerializer
from diagnosis.models import StudyImage
from diagnosis.selectors import image_get, study_get, study_images
from diagnosis.services.reading import image_open
from diagnosis.services.studies import image_move
from diagnosis.storage import object_response

_SUFFIXES = {"application/dicom": "dcm", "image/png": "png", "image/jpeg": "jpg"}
_NO_FRAME = Refusal(404, "frame_out_of_range", "The image has fewer frames.")
_NO_HEATMAP = Refusal(404, "heatmap_missing", "No finished run has drawn one.")
_NO_PHOTO = Refusal(404, "photo_missing", "The image is no photograph of a film.")
_REPORTED = Refusal(409, "study_reported", "A signed report keeps its images.")


class ImageViewSet(ClinicViewSet[StudyImage]):
    """One stored image."""

    queryset = StudyImage.objects.none()
    serializer_class = ImageSerializer

    @operation(
        "Read an image's data",
        "Size, origin, the state of its newest run and its newest result.",
        responses={200: ImageSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one image without its bytes."""
        image_open(actor=self.actor, image=image_get(user=self.actor, pk=pk), what="data")
        return self._answer(pk)

    @operation(
        "Download an image",
        "The sanitised copy in full resolution. Every download is audited.",
        responses=binary("*/*", "PNG or DICOM"),
        errors=("not_found", "storage"),
    )
    @action(detail=True)
    def file(self, _request: Request, pk: UUID) -> HttpResponseBase:
        """Return the served copy."""
        image = image_get(user=self.actor, pk=pk)
        image_open(actor=self.actor, image=image, what="file")
        return object_response(
            key=image.served_key,
            content_type=image.served_content_type,
            download_name=f"{image.pk}.{_SUFFIXES.get(image.served_content_type, 'bin')}",
        )

    @operation(
        "See an image in web size",
        "A JPEG for screens; one frame of a multi-frame image.",
        parameters=(FrameSerializer,),
        responses=binary("image/jpeg", "JPEG"),
        errors=("invalid", "not_found", _NO_FRAME, "storage"),
    )
    @action(detail=True)
    def rendition(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Return one frame as JPEG."""
        image = image_get(user=self.actor, pk=pk)
        query = FrameSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        frame = query.validated_data["frame"]
        if frame >= len(image.rendition_keys):
            raise NotFound("The image has fewer frames.", code="frame_out_of_range")
        image_open(actor=self.actor, image=image, what="rendition")
        return object_response(key=image.rendition_keys[frame], content_type="image/jpeg")

    @operation(
        "See an image's thumbnail",
        "A small JPEG of the first frame.",
        responses=binary("image/jpeg", "JPEG"),
        errors=("not_found", "storage"),
    )
    @action(detail=True)
    def thumbnail(self, _request: Request, pk: UUID) -> HttpResponseBase:
        """Return the thumbnail."""
        image = image_get(user=self.actor, pk=pk)
        image_open(actor=self.actor, image=image, what="thumbnail")
        return object_response(key=image.thumbnail_key, content_type="image/jpeg")

    @operation(
        "See the photograph of a film",
        "A JPEG for screens of the photograph that the film was straightened out of.",
        responses=binary("image/jpeg", "JPEG"),
        errors=("not_found", _NO_PHOTO, "storage"),
    )
    @action(detail=True)
    def photo(self, _request: Request, pk: UUID) -> HttpResponseBase:
        """Return the photograph."""
        image = image_get(user=self.actor, pk=pk)
        if not image.photo_key:
            raise NotFound("The image is no photograph of a film.", code="photo_missing")
        image_open(actor=self.actor, image=image, what="photo")
        return object_response(key=image.photo_key, content_type="image/jpeg")

    @operation(
        "See where the model looked",
        "A small grey PNG to stretch over the whole image, of the newest finished run.",
        responses=binary("image/png", "PNG"),
        errors=("not_found", _NO_HEATMAP, "storage"),
    )
    @action(detail=True)
    def heatmap(self, _request: Request, pk: UUID) -> HttpResponseBase:
        """Return the heatmap of the newest finished run."""
        image = image_get(user=self.actor, pk=pk)
        run = image.newest_result
        if run is None or not run.heatmap_key:
            raise NotFound("No finished run has drawn a heatmap.", code="heatmap_missing")
        image_open(actor=self.actor, image=image, what="heatmap")
        return object_response(key=run.heatmap_key, content_type="image/png")

    @operation(
        "Move an image to another study",
        "For an image that was uploaded to the wrong study; both results are worked out again.",
        request=ImageMoveSerializer,
        responses={200: ImageSerializer},
        errors=("invalid", "not_found", _REPORTED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: UUID) -> Response:
        """File the image under another study."""
        image = image_get(user=self.actor, pk=pk)
        body = ImageMoveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        study = study_get(user=self.actor, pk=body.validated_data["study"])
        image_move(actor=self.actor, image=image, study=study)
        return self._answer(pk)

    def _answer(self, pk: UUID) -> Response:
        study = image_get(user=self.actor, pk=pk).study
        image = study_images(user=self.actor, study=study).get(pk=pk)
        return Response(ImageSerializer(image, context=self.get_serializer_context()).data)

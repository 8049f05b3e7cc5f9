"""What a reader drew for themselves, and pictures that are kept for the report."""

from typing import Any
from uuid import UUID, uuid4

from django.http import HttpResponseBase
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.policy import Action, require
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.etags import finding_etag, finding_read
from diagnosis.api.schema import ANNOTATION_IF_MATCH, Refusal, binary, operation
from diagnosis.api.serializers.annotations import (
    AnnotationDrawSerializer,
    AnnotationSerializer,
    KeyImageKeepSerializer,
    KeyImageSerializer,
)
from diagnosis.ingest.snapshots import MAX_BYTES
from diagnosis.models import Annotation, Study, StudyImage, StudyKeyImage
from diagnosis.selectors import image_get, study_get
from diagnosis.selectors.annotations import (
    annotation_own,
    annotations_for,
    key_image_get,
    key_images_for,
)
from diagnosis.services.annotations import annotation_delete, annotation_save
from diagnosis.services.key_images import key_image_delete, key_image_keep, key_image_open
from diagnosis.services.reading import study_open
from diagnosis.storage import object_response

_INVALID = Refusal(422, "annotation_invalid", "Number or place of the points, text or length.")
_FULL = Refusal(409, "annotations_full", "The image has 200 marks of the caller.")
_CHANGED = Refusal(412, "annotation_changed", "It was changed since; `revision` is the newest.")
_KEPT_FULL = Refusal(409, "key_images_full", "The image has 20 kept pictures.")
_NO_PICTURE = Refusal(422, "not_an_image", "Send a PNG.")


class StudyAnnotationsViewSet(ClinicViewSet[Any]):
    """The caller's marks on one study's images."""

    queryset = Study.objects.none()
    serializer_class = AnnotationSerializer
    pagination_class = None  # one study has few

    @operation(
        "List the caller's annotations of a study",
        "Measurements and notes are their reader's alone.",
        responses={200: AnnotationSerializer(many=True)},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return all of them."""
        study = study_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=study, polled=True)
        rows = annotations_for(user=self.actor, study=study)
        return Response(AnnotationSerializer(rows, many=True).data)


class StudyKeyImagesViewSet(ClinicViewSet[Any]):
    """The pictures that were kept of one study."""

    queryset = Study.objects.none()
    serializer_class = KeyImageSerializer
    pagination_class = None  # one study has few

    @operation(
        "List a study's key images",
        "In the order in which they were kept; the report prints them.",
        responses={200: KeyImageSerializer(many=True)},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return all of them."""
        study = study_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=study, polled=True)
        kept = key_images_for(user=self.actor, study=study)
        return Response(KeyImageSerializer(kept, many=True).data)


class ImageAnnotationsViewSet(ClinicViewSet[Any]):
    """Drawing on one image."""

    queryset = StudyImage.objects.none()
    serializer_class = AnnotationSerializer

    @operation(
        "Draw an annotation",
        "A new calibration replaces the caller's former one of the image.",
        request=AnnotationDrawSerializer,
        responses={201: AnnotationSerializer},
        errors=("invalid", "not_found", _FULL, _INVALID, "idempotency_key_reused"),
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Store one."""
        image = image_get(user=self.actor, pk=pk)
        body = AnnotationDrawSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        row = annotation_save(
            actor=self.actor, image=image, pk=uuid4(), revision=0, **body.validated_data
        )
        return _drawn(row, status.HTTP_201_CREATED)


class AnnotationViewSet(ClinicViewSet[Annotation]):
    """One of the caller's marks."""

    queryset = Annotation.objects.none()
    serializer_class = AnnotationSerializer

    @operation(
        "Change an annotation",
        "Replaces it as a whole; its kind stays. `If-Match` is the `revision` that was read.",
        request=AnnotationDrawSerializer,
        parameters=(ANNOTATION_IF_MATCH,),
        responses={200: AnnotationSerializer},
        errors=("invalid", "not_found", _CHANGED, _INVALID, "precondition_required"),
    )
    def update(self, request: Request, pk: UUID) -> Response:
        """Save over the one that was read."""
        row = self._own(pk)
        body = AnnotationDrawSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        revision = finding_read(request)
        values = body.validated_data
        return _drawn(
            annotation_save(actor=self.actor, image=row.image, pk=pk, revision=revision, **values)
        )

    @operation(
        "Remove an annotation",
        "`If-Match` is the `revision` that was read.",
        parameters=(ANNOTATION_IF_MATCH,),
        responses={204: None},
        errors=("not_found", _CHANGED, "precondition_required"),
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Remove one."""
        row = self._own(pk)
        annotation_delete(actor=self.actor, annotation=row, revision=finding_read(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _own(self, pk: UUID) -> Annotation:
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=Action.IMAGE_ANNOTATE, clinic_id=clinic_id)
        return annotation_own(user=self.actor, pk=pk)


class ImageKeyImagesViewSet(ClinicViewSet[Any]):
    """Keeping a picture of one image."""

    queryset = StudyImage.objects.none()
    serializer_class = KeyImageSerializer
    parser_classes = [MultiPartParser]
    max_body_bytes = MAX_BYTES + 2**20

    @operation(
        "Keep a key image",
        "A PNG of what a viewer shows; it is written anew without metadata.",
        request={"multipart/form-data": KeyImageKeepSerializer},
        responses={201: KeyImageSerializer},
        errors=(
            *("invalid", "not_found", "too_large"),
            *(_KEPT_FULL, _NO_PICTURE, "storage", "idempotency_key_reused"),
        ),
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Store one."""
        image = image_get(user=self.actor, pk=pk)
        clinic_id = self.membership.clinic_id
        require(user=self.actor, action=Action.REPORT_WRITE, clinic_id=clinic_id)
        body = KeyImageKeepSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        kept = key_image_keep(
            actor=self.actor,
            image=image,
            data=body.validated_data["file"].read(),
            caption=body.validated_data["caption"],
        )
        address = reverse("api:keyimage-detail", args=[kept.pk], request=request)
        data = KeyImageSerializer(kept).data
        return Response(data, status=status.HTTP_201_CREATED, headers={"Location": address})


class KeyImageViewSet(ClinicViewSet[StudyKeyImage]):
    """One kept picture."""

    queryset = StudyKeyImage.objects.none()
    serializer_class = KeyImageSerializer

    @operation(
        "Read a key image's data",
        "Caption, size and who kept it; the picture is at `file`.",
        responses={200: KeyImageSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one without its bytes."""
        kept = key_image_get(user=self.actor, pk=pk)
        study_open(actor=self.actor, study=kept.image.study, polled=True)
        return Response(KeyImageSerializer(kept).data)

    @operation(
        "Download a key image",
        "The PNG with what was drawn over it. Every download is audited.",
        responses=binary("image/png", "PNG"),
        errors=("not_found", "storage"),
    )
    @action(detail=True)
    def file(self, _request: Request, pk: UUID) -> HttpResponseBase:
        """Return the picture."""
        kept = key_image_get(user=self.actor, pk=pk)
        key_image_open(actor=self.actor, key_image=kept)
        return object_response(key=kept.object_key, content_type="image/png")

    @operation(
        "Remove a key image",
        "From the study; printed reports keep theirs.",
        responses={204: None},
        errors=("not_found",),
    )
    def destroy(self, _request: Request, pk: UUID) -> Response:
        """Remove one."""
        kept = key_image_get(user=self.actor, pk=pk)
        key_image_delete(actor=self.actor, key_image=kept)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _drawn(row: Annotation, code: int = status.HTTP_200_OK) -> Response:
    headers = {"ETag": finding_etag(row.revision)}
    return Response(AnnotationSerializer(row).data, status=code, headers=headers)

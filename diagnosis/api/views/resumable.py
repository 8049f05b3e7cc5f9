"""Uploads in parts: the tus protocol 1.0.0 (creation, expiration, termination), then the image."""

import base64
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, operation
from diagnosis.api.serializers.images import ImageSerializer
from diagnosis.api.serializers.resumable import ResumableUploadSerializer
from diagnosis.models import ResumableUpload
from diagnosis.selectors import study_get, study_images
from diagnosis.selectors.resumable import upload_get
from diagnosis.services.resumable import upload_append, upload_begin, upload_drop, upload_finish

TUS: Final = "1.0.0"
CHUNK_TYPE: Final = "application/offset+octet-stream"
_VERSION = Refusal(412, "tus_version", "Send `Tus-Resumable: 1.0.0`.")
_BUSY = Refusal(409, "offset_differs", "Other bytes have arrived so far; ask by HEAD.")
_INCOMPLETE = Refusal(409, "upload_incomplete", "Bytes are missing; go on at `offset`.")
_MANY = Refusal(409, "too_many_uploads", "Finish or delete some of your uploads first.")
_REFUSED = Refusal(422, "not_an_image", "The file cannot be used; the code says why.")


def _header(name: str, text: str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=required, description=text)


_TUS = _header("Tus-Resumable", "`1.0.0`", required=False)


class TusVersion(exceptions.APIException):
    """Another version of the protocol."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "tus_version"
    default_detail = "This site speaks tus 1.0.0: send Tus-Resumable: 1.0.0."


class ResumableUploadViewSet(ClinicViewSet[ResumableUpload]):
    """Files in parts, for the studies of the clinic."""

    queryset = ResumableUpload.objects.none()
    serializer_class = ResumableUploadSerializer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse other versions of the protocol."""
        if request.headers.get("Tus-Resumable", TUS) != TUS:
            raise TusVersion
        super().initial(request, *args, **kwargs)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Say which protocol this is, in every answer."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = response["Tus-Version"] = TUS
        response["Tus-Extension"] = "creation,expiration,termination"
        response["Tus-Max-Size"] = str(settings.INGEST_MAX_BYTES)
        response["Cache-Control"] = "no-store"
        return response

    @operation(
        "Begin an upload in parts",
        "Creation of the tus protocol 1.0.0, for lines that break. Send the bytes by PATCH to the "
        "`Location`, then make the image. What is not finished within a day is removed.",
        parameters=(
            _header("Upload-Length", "Bytes of the whole file."),
            _header(
                "Upload-Metadata",
                "tus: `capture` and `corners` as in the plain upload, Base64; others are ignored.",
                required=False,
            ),
            _TUS,
        ),
        responses={201: ResumableUploadSerializer},
        errors=("invalid", "not_found", _MANY, "idempotency_key_reused", _VERSION, "too_large",
                _REFUSED),
    )  # fmt: skip
    def create(self, request: Request, pk: UUID) -> Response:
        """Promise room for one file."""
        study = study_get(user=self.actor, pk=pk)
        told = _metadata(request.headers.get("Upload-Metadata", ""))
        upload = upload_begin(
            actor=self.actor,
            study=study,
            length=_number(request, "Upload-Length"),
            capture=told.get("capture", ""),
            corners=told.get("corners", ""),
        )
        return self._answer(upload, status.HTTP_201_CREATED, Location=self._address(upload))

    @operation(
        "Ask how far an upload is",
        "`Upload-Offset` and `offset` say where to go on; HEAD answers the same without a body.",
        parameters=(_TUS,),
        responses={200: ResumableUploadSerializer},
        errors=("not_found", _VERSION),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return what has arrived."""
        return self._answer(upload_get(user=self.actor, pk=pk))

    @operation(
        "Send a part of a file",
        "The bytes that follow `Upload-Offset`, at most 5 MiB, as "
        "`application/offset+octet-stream`. Answered with the new `Upload-Offset` once stored.",
        request={CHUNK_TYPE: bytes},
        parameters=(_header("Upload-Offset", "Bytes that have arrived so far."), _TUS),
        responses={204: None},
        errors=("invalid", "not_found", _BUSY, _VERSION, "too_large", "storage"),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Append a part."""
        if request.content_type != CHUNK_TYPE:
            raise exceptions.UnsupportedMediaType(str(request.content_type))
        upload = upload_get(user=self.actor, pk=pk)
        offset = _number(request, "Upload-Offset")
        upload = upload_append(
            actor=self.actor, upload=upload, offset=offset, data=request._request.body
        )
        return Response(status=status.HTTP_204_NO_CONTENT, headers=_state(upload))

    @operation(
        "Drop an upload",
        "Removes what has arrived; an image that was made of it stays.",
        parameters=(_TUS,),
        responses={204: None},
        errors=("not_found", _VERSION),
    )
    def destroy(self, _request: Request, pk: UUID) -> Response:
        """Remove what has arrived."""
        upload_drop(actor=self.actor, upload=upload_get(user=self.actor, pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @operation(
        "Make the image of an upload",
        "When all bytes have arrived: checks the file and queues its analysis, as the plain upload "
        "does. Asked again, it answers with the same image.",
        responses={201: ImageSerializer, 200: ImageSerializer},
        errors=("not_found", _INCOMPLETE, "idempotency_key_reused", "too_large", _REFUSED,
                "storage"),
    )  # fmt: skip
    def image(self, request: Request, pk: UUID) -> Response:
        """Make the image."""
        outcome = upload_finish(actor=self.actor, upload=upload_get(user=self.actor, pk=pk))
        image = study_images(user=self.actor, study=outcome.image.study).get(pk=outcome.image.pk)
        data = ImageSerializer(image, context=self.get_serializer_context()).data
        address = reverse("api:image-detail", args=[image.pk], request=request)
        code = status.HTTP_201_CREATED if outcome.created else status.HTTP_200_OK
        return Response(data, status=code, headers={"Location": address})

    def _address(self, upload: ResumableUpload) -> str:
        return reverse("api:upload-detail", args=[upload.pk], request=self.request)

    def _answer(self, upload: ResumableUpload, code: int = 200, **headers: str) -> Response:
        data = ResumableUploadSerializer(upload, context=self.get_serializer_context()).data
        return Response(data, status=code, headers=_state(upload) | headers)


def _state(upload: ResumableUpload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.received),
        "Upload-Length": str(upload.length),
        "Upload-Expires": http_date(upload.expires_at.timestamp()),
    }


def _number(request: Request, name: str) -> int:
    text = request.headers.get(name, "")
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise exceptions.ParseError(f"{name}: a whole number of bytes is needed.", code="invalid")
    return int(text)


def _metadata(header: str) -> dict[str, str]:
    """Return the values of ``Upload-Metadata``; names of files are neither read nor kept."""
    told = {}
    for pair in header.split(",") if header else ():
        name, _space, value = pair.strip().partition(" ")
        if name not in {"capture", "corners"}:
            continue
        try:
            told[name] = base64.b64decode(value, validate=True).decode("ascii")
        except ValueError as error:  # not Base64, or no ASCII inside
            raise exceptions.ParseError("Upload-Metadata: not Base64.", code="invalid") from error
    return told

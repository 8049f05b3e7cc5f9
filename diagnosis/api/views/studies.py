"""Studies: list, request, correct, upload images, analyse again, move."""

from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis.api.base import ClinicViewSet
from diagnosis.api.filters import StudyFilter
from diagnosis.api.schema import Refusal, binary, operation
from diagnosis.api.serializers.images import ImageSerializer, UploadSerializer
from diagnosis.api.serializers.results import AnalysisSerializer, StudyAnalysesSerializer
from diagnosis.api.serializers.studies import (
    StudyCreateSerializer,
    StudyMoveSerializer,
    StudySerializer,
    StudySummarySerializer,
    StudyUpdateSerializer,
)
from diagnosis.api.views.study_claims import ClaimActions
from diagnosis.ingest.film import film_task
from diagnosis.models import Study
from diagnosis.selectors import patient_get, study_get, study_images, study_list
from diagnosis.selectors.first_reads import hide_ai, reads_first
from diagnosis.selectors.pages import report_versions
from diagnosis.selectors.rules import rules_get
from diagnosis.selectors.study_warnings import study_warnings
from diagnosis.selectors.worklist import live_claim
from diagnosis.services.analyses import study_analyses_request
from diagnosis.services.exports import study_export_deidentified
from diagnosis.services.reading import study_open
from diagnosis.services.studies import study_create, study_move, study_update
from diagnosis.services.uploads import image_upload
from diagnosis.storage import download
from fracture_site.common.errors import TooLargeError

_MULTIPART_OVERHEAD = 2**16
_TAKEN = Refusal(409, "accession_number_taken", "`study` names which one has it.")
_MERGED = Refusal(409, "patient_merged", "`patient` names the record that was kept.")
_REPORTED = Refusal(409, "study_reported", "A study with a signed report stays where it is.")
_OTHER_STUDY = Refusal(
    409,
    "image_in_other_study",
    "Another study of the clinic has these bytes; `image` and `study` name them.",
)
_EMPTY = Refusal(409, "study_empty", "The study has no images.")
_QUEUE_FULL = Refusal(503, "queue_full", "Too much waits already; send it after `Retry-After`.")
_REFUSED = Refusal(
    422, "not_an_image", "The file cannot be used; the code says why, the detail what helps."
)


_OF_THE_AI = {"verdict", "region", "severity", "probability", "min_probability", "ordering"}


class StudyViewSet(ClaimActions, mixins.ListModelMixin, ClinicViewSet[Study]):
    """The clinic's studies."""

    queryset = Study.objects.none()
    serializer_class = StudySummarySerializer
    filterset_class = StudyFilter

    def get_queryset(self) -> QuerySet[Study]:
        """Rows of the caller's clinic."""
        studies = study_list(user=self.actor, q=self.request.query_params.get("q", ""))
        if reads_first(user=self.actor) and not _OF_THE_AI.isdisjoint(self.request.query_params):
            studies = studies.filter(status=Study.Status.REPORTED)  # of others it would tell
        return studies

    @operation(
        "List studies",
        "Newest first, without images and result.",
        responses={200: StudySummarySerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, _request: Request) -> Response:
        """Return a page."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        studies = hide_ai(user=self.actor, studies=page or [])
        self.note_list("study", (study.patient_id for study in studies))
        return self.get_paginated_response(StudySummarySerializer(studies, many=True).data)

    @operation(
        "Request a study",
        "Then upload its images.",
        request=StudyCreateSerializer,
        responses={201: StudySerializer},
        errors=("invalid", "not_found", _TAKEN, _MERGED, "idempotency_key_reused"),
    )
    def create(self, request: Request) -> Response:
        """Create a study of a patient."""
        body = StudyCreateSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        fields = dict(body.validated_data)
        patient = patient_get(user=self.actor, pk=fields.pop("patient"))
        clinic_id = self.membership.clinic_id
        study = study_create(actor=self.actor, clinic_id=clinic_id, patient=patient, **fields)
        address = reverse("api:study-detail", args=[study.pk], request=request)
        return self._answer(study.pk, status.HTTP_201_CREATED, Location=address)

    @operation(
        "Read a study",
        "With its images and, once one was analysed, the result. Ask again while `status` is "
        "`queued` or `running`.",
        responses={200: StudySerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one study."""
        study_open(actor=self.actor, study=study_get(user=self.actor, pk=pk), polled=True)
        return self._answer(pk)

    @operation(
        "Correct a study",
        "Fields that are left out stay as they are. Another patient is set by `move`.",
        request=StudyUpdateSerializer(partial=True),
        responses={200: StudySerializer},
        errors=("invalid", "not_found", _TAKEN),
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change some fields."""
        study = study_get(user=self.actor, pk=pk)
        body = StudyUpdateSerializer(study, data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        study_update(actor=self.actor, study=study, **body.validated_data)
        return self._answer(pk)

    @operation(
        "Upload an image",
        "One file a request, PNG, JPEG, TIFF or DICOM. The analysis starts by itself. The same "
        "bytes in the same study are answered with the image that is there.",
        request={"multipart/form-data": UploadSerializer},
        responses={201: ImageSerializer, 200: ImageSerializer},
        errors=(
            "invalid",
            "not_found",
            _OTHER_STUDY,
            "idempotency_key_reused",
            "too_large",
            _REFUSED,
            _QUEUE_FULL,
            "storage",
        ),
    )
    @action(
        detail=True,
        methods=["post"],
        parser_classes=[MultiPartParser],
        max_body_bytes=settings.INGEST_MAX_BYTES + _MULTIPART_OVERHEAD,
    )
    def images(self, request: Request, pk: UUID) -> Response:
        """Store one image and queue its analysis."""
        study = study_get(user=self.actor, pk=pk)
        body = UploadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        file = body.validated_data["file"]
        if file.size > settings.INGEST_MAX_BYTES:
            raise TooLargeError("too_large")
        film = film_task(
            capture=body.validated_data.get("capture", ""),
            corners=body.validated_data.get("corners", ""),
        )
        outcome = image_upload(
            actor=self.actor, study=study, data=file.read(), film=film, by_machine=True
        )
        image = study_images(user=self.actor, study=study).get(pk=outcome.image.pk)
        data = ImageSerializer(image, context=self.get_serializer_context()).data
        address = reverse("api:image-detail", args=[image.pk], request=request)
        code = status.HTTP_201_CREATED if outcome.created else status.HTTP_200_OK
        return Response(data, status=code, headers={"Location": address})

    @operation(
        "Analyse a study again",
        "Asks for a run over each image; a run that is still waiting is returned as it is.",
        responses={202: StudyAnalysesSerializer},
        errors=("not_found", "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def analyses(self, request: Request, pk: UUID) -> Response:
        """Queue the analyses and answer where the result will be."""
        study = study_get(user=self.actor, pk=pk)
        runs = study_analyses_request(actor=self.actor, study=study)
        address = reverse("api:study-detail", args=[study.pk], request=request)
        return Response(
            {"analyses": AnalysisSerializer(runs, many=True).data},
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": address},
        )

    @operation(
        "Move a study to another patient",
        "For a study that was filed under the wrong person.",
        request=StudyMoveSerializer,
        responses={200: StudySerializer},
        errors=("invalid", "not_found", _REPORTED, _MERGED, "idempotency_key_reused"),
    )
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: UUID) -> Response:
        """File the study under another patient."""
        study = study_get(user=self.actor, pk=pk)
        body = StudyMoveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        patient = patient_get(user=self.actor, pk=body.validated_data["patient"])
        study_move(actor=self.actor, study=study, patient=patient)
        return self._answer(pk)

    @operation(
        "Export a study without identity",
        "A ZIP file of DICOM objects with pseudonyms and shifted dates. Text that is burned into "
        "the pixels stays: look at every image before you give it away.",
        responses=binary("application/zip", "The images and a warning."),
        errors=("not_found", _EMPTY, "storage"),
    )
    @action(detail=True, methods=["get"])
    def deidentified(self, _request: Request, pk: UUID) -> HttpResponse:
        """Return the images of one study without identity."""
        study = study_get(user=self.actor, pk=pk)
        content = study_export_deidentified(actor=self.actor, study=study)
        return download(content)

    def _answer(self, pk: UUID, code: int = status.HTTP_200_OK, **headers: str) -> Response:
        """Return the study as it is now, with its images."""
        study = study_get(user=self.actor, pk=pk)
        images = list(study_images(user=self.actor, study=study))
        report = getattr(study, "report", None)
        rules = rules_get(user=self.actor)
        warnings = study_warnings(
            study,
            images,
            report_versions(user=self.actor, report=report) if report else (),
            views=rules.views.get(study.body_part, ()),
        )
        context = {
            **self.get_serializer_context(),
            "images": images,
            "claim": live_claim(user=self.actor, study=study),
            "warnings": warnings,
        }
        return Response(StudySerializer(study, context=context).data, status=code, headers=headers)

"""Short names for texts: the caller's own, and the clinic's."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.policy import Action, allowed_actions, require
from diagnosis.api import examples
from diagnosis.api.base import ClinicViewSet
from diagnosis.api.schema import Refusal, operation
from diagnosis.models import TextMacro
from diagnosis.selectors.drafting import macro_get, macro_list
from diagnosis.services.drafting import macro_delete, macro_save

_NAME = Refusal(422, "macro_name", "Up to 20 letters, digits, - and _.")
_TEXT = Refusal(422, "macro_text", "Up to 2000 characters.")
_GIVEN = {"name": "wrist", "text": "No fracture of the wrist is seen.", "for_clinic": False}
_MACRO = {"id": "9a1f6c52-1d3e-4b6f-9a0c-55c1d7f2b915", **_GIVEN, "created_at": examples.AT}


@extend_schema_serializer(examples=[OpenApiExample("Macro", _MACRO)])
class MacroSerializer(serializers.ModelSerializer[TextMacro]):
    """A text that ``.name`` and Tab insert."""

    for_clinic = serializers.SerializerMethodField()

    class Meta:
        model = TextMacro
        fields = ["id", "name", "text", "for_clinic", "created_at"]
        read_only_fields = fields

    def get_for_clinic(self, macro: TextMacro) -> bool:
        """Say whether it is everybody's."""
        return macro.owner_id is None


@extend_schema_serializer(examples=[OpenApiExample("Macro", _GIVEN)])
class MacroSaveSerializer(serializers.Serializer[Any]):
    """A name and what it inserts."""

    name = serializers.CharField(max_length=21)
    text = serializers.CharField(max_length=2000)
    for_clinic = serializers.BooleanField(
        default=False, help_text="For everybody in the clinic; clinic administrators only."
    )


class MacroViewSet(mixins.ListModelMixin, ClinicViewSet[TextMacro]):
    """The caller's macros and the clinic's."""

    queryset = TextMacro.objects.none()
    serializer_class = MacroSerializer

    def get_queryset(self) -> QuerySet[TextMacro]:
        """Rows of the caller and of the clinic."""
        return macro_list(user=self.actor)

    @operation(
        "List text macros",
        "The caller's own and the clinic's. Of one name the own one counts.",
        responses={200: MacroSerializer(many=True)},
        errors=("invalid",),
    )
    def list(self, request: Request) -> Response:
        """Return a page."""
        return super().list(request)

    @operation(
        "Save a text macro",
        "One of the same name is replaced: the caller's own, or the clinic's.",
        request=MacroSaveSerializer,
        responses={201: MacroSerializer},
        errors=("invalid", _NAME, _TEXT, "idempotency_key_reused"),
    )
    def create(self, request: Request) -> Response:
        """Store one."""
        self._require_writer()
        body = MacroSaveSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        clinic_id = self.membership.clinic_id
        macro = macro_save(actor=self.actor, clinic_id=clinic_id, **body.validated_data)
        address = reverse("api:macro-detail", args=[macro.pk], request=request)
        data = MacroSerializer(macro).data
        return Response(data, status=status.HTTP_201_CREATED, headers={"Location": address})

    @operation(
        "Read a text macro",
        "One of the caller's own, or of the clinic's.",
        responses={200: MacroSerializer},
        errors=("not_found",),
    )
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        """Return one."""
        return Response(MacroSerializer(macro_get(user=self.actor, pk=pk)).data)

    @operation(
        "Delete a text macro",
        "One of the caller's own; of the clinic's by its administrators.",
        responses={204: None},
        errors=("not_found",),
    )
    def destroy(self, _request: Request, pk: UUID) -> Response:
        """Remove one."""
        self._require_writer()
        macro_delete(actor=self.actor, macro=macro_get(user=self.actor, pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _require_writer(self) -> None:
        """Let in who writes reports or keeps the clinic's settings; which one the service asks."""
        clinic_id = self.membership.clinic_id
        if Action.CLINIC_SETTINGS not in allowed_actions(user=self.actor, clinic_id=clinic_id):
            require(user=self.actor, action=Action.REPORT_WRITE, clinic_id=clinic_id)

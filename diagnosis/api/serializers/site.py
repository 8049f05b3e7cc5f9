"""The caller, the registered models and the audit trail."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from accounts.models import ApiToken, AuditEvent, Clinic, Membership, Role, User
from accounts.policy import Action, allowed_actions
from diagnosis.api import examples
from diagnosis.api.fields import PersonSerializer
from diagnosis.api.serializers.results import ThresholdsSerializer
from diagnosis.models import ModelVersion


class AccountSerializer(serializers.ModelSerializer[User]):
    """The person behind the request."""

    class Meta:
        model = User
        fields = ["id", "email", "full_name", "title"]
        read_only_fields = fields


class ClinicSerializer(serializers.ModelSerializer[Clinic]):
    """The current clinic."""

    class Meta:
        model = Clinic
        fields = ["id", "name", "time_zone", "intended_use"]
        read_only_fields = fields


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """The token of this request; `read` allows safe methods only."""

    class Meta:
        model = ApiToken
        fields = ["id", "name", "scope"]
        read_only_fields = fields


@extend_schema_serializer(examples=[OpenApiExample("Caller", examples.ME)])
class MeSerializer(serializers.ModelSerializer[Membership]):
    """Who is asking, for which clinic, and what they may do there."""

    membership = serializers.UUIDField(source="id", read_only=True)
    user = AccountSerializer(read_only=True)
    clinic = ClinicSerializer(read_only=True)
    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=Role.choices), read_only=True
    )
    allowed_actions = serializers.SerializerMethodField()
    token = serializers.SerializerMethodField(help_text="Null for a browser session.")

    class Meta:
        model = Membership
        fields = ["user", "clinic", "membership", "roles", "allowed_actions", "token"]
        read_only_fields = fields

    @extend_schema_field(
        {
            "type": "array",
            "items": {"type": "string", "enum": sorted(action.value for action in Action)},
        }
    )
    def get_allowed_actions(self, membership: Membership) -> list[str]:
        """Return the policy's answer for the caller's roles."""
        return sorted(allowed_actions(user=membership.user, clinic_id=membership.clinic_id))

    @extend_schema_field(TokenSerializer(allow_null=True))
    def get_token(self, _membership: Membership) -> Any:
        """Return the token that the request was made with."""
        token = self.context["request"].auth
        return TokenSerializer(token).data if isinstance(token, ApiToken) else None


@extend_schema_serializer(examples=[OpenApiExample("Model", examples.MODEL)])
class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A registered model; results keep the version that made them."""

    thresholds = serializers.SerializerMethodField()
    is_active = serializers.BooleanField(read_only=True)
    is_recalled = serializers.BooleanField(
        read_only=True, help_text="Results of a recalled version may not be relied on."
    )

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "name",
            "version",
            "sha256",
            "preprocessing_version",
            "calibration_id",
            "thresholds",
            "stage",
            "is_active",
            "is_recalled",
            "modalities",
            "body_regions",
            "age_min",
            "age_max",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field(ThresholdsSerializer)
    def get_thresholds(self, model: ModelVersion) -> dict[str, float]:
        """Return both thresholds."""
        return {"suspicion": model.threshold_suspicion, "definite": model.threshold_definite}


@extend_schema_serializer(examples=[OpenApiExample("Event", examples.AUDIT_EVENT)])
class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """Who did or read what; ids and states only. `actor` is null for the system itself."""

    actor = PersonSerializer(read_only=True, allow_null=True)
    token = serializers.UUIDField(source="token_id", read_only=True, allow_null=True)
    target = serializers.UUIDField(source="target_id", read_only=True, allow_null=True)
    patient = serializers.UUIDField(source="patient_id", read_only=True, allow_null=True)

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "at",
            "action",
            "outcome",
            "actor",
            "token",
            "target_type",
            "target",
            "patient",
            "details",
        ]
        read_only_fields = fields

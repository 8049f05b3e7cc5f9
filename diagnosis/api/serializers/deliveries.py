"""Destinations and deliveries."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from diagnosis.models import Content, Delivery, Destination, Event


class DestinationSerializer(serializers.ModelSerializer[Destination]):
    """A system that gets results. Secrets are written and never read."""

    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices), help_text="When something is sent."
    )
    contents = serializers.ListField(
        child=serializers.ChoiceField(choices=Content.choices),
        required=False,
        help_text="What is sent.",
    )
    options = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=200),
        required=False,
        help_text="HL7: `sending_facility`, `receiving_application`, `receiving_facility`, "
        "`assigning_authority`.",
    )
    secrets = serializers.DictField(
        child=serializers.CharField(allow_blank=True, max_length=40000, trim_whitespace=False),
        required=False,
        write_only=True,
        help_text=(
            "`bearer_token`, `signing_key`, `certificate`, `key`, `ca` (PEM); an empty one is "
            "forgotten, and all "
            "are with another address."
        ),
    )

    class Meta:
        model = Destination
        fields = [
            "id", "name", "kind", "host", "port", "called_ae_title", "calling_ae_title", "url",
            "use_tls", "events", "contents", "options", "secrets", "is_enabled", "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at"]
        validators: list[Any] = []

    def validate_secrets(self, secrets: dict[str, str]) -> dict[str, str]:
        """Refuse names that mean nothing."""
        unknown = set(secrets) - {"bearer_token", "signing_key", "certificate", "key", "ca"}
        if unknown:
            raise serializers.ValidationError(f"Unknown: {', '.join(sorted(unknown))}.")
        return secrets


class DestinationTestSerializer(serializers.Serializer[Any]):
    """Whether a destination answers."""

    reached = serializers.BooleanField()
    code = serializers.CharField(help_text="What is wrong; empty when it answers.")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One promise to send something; `error_code` says why it has failed or still waits."""

    destination = serializers.UUIDField(source="destination_id", read_only=True)
    study = serializers.UUIDField(source="study_id", read_only=True)
    sent = serializers.SerializerMethodField(help_text="Identifiers of what was sent.")

    class Meta:
        model = Delivery
        fields = [
            "id", "destination", "study", "event", "subject", "number", "status", "error_code",
            "attempts", "sent", "created_at", "due_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_sent(self, delivery: Delivery) -> Any:
        """Return the receipts."""
        return delivery.sent

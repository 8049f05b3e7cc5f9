"""Destinations and deliveries."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers

from diagnosis.api import examples
from diagnosis.models import Content, Delivery, Destination, Event

_DESTINATION_INPUT: dict[str, Any] = {
    "name": "Archive",
    "kind": "dicom_cstore",
    "host": "pacs.hospital.example",
    "port": 11112,
    "called_ae_title": "ARCHIVE",
    "calling_ae_title": "FRACTURE",
    "url": "",
    "use_tls": False,
    "events": ["report.signed"],
    "contents": ["sr", "presentation", "pdf"],
    "options": {},
    "finds_priors": False,
    "is_enabled": True,
}
_DESTINATION_ID = "a8e4c3b2-41f6-4b7d-8c55-90d1e2f3a416"
_DESTINATION = {"id": _DESTINATION_ID, **_DESTINATION_INPUT, "created_at": examples.AT}
_DELIVERY: dict[str, Any] = {
    "id": "b9f5d4c3-52a7-4c8e-9d66-a1e2f3b4c517",
    "destination": _DESTINATION_ID,
    "study": examples.STUDY_ID,
    "event": "report.signed",
    "subject": examples.REPORT_ID,
    "number": 1,
    "status": "succeeded",
    "error_code": "",
    "attempts": 1,
    "sent": [
        {
            "content": "sr",
            "sop_instance_uid": "2.25.17402583910572046",
            "series_instance_uid": "2.25.90412385710245771",
        }
    ],
    "created_at": examples.AT,
    "due_at": examples.AT,
    "started_at": examples.AT,
    "finished_at": examples.AT,
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("Destination", _DESTINATION, response_only=True),
        OpenApiExample("Set up", _DESTINATION_INPUT, request_only=True),
    ]
)
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
        "`assigning_authority`. Where earlier studies are looked up: `retrieve` (`get` or `move`), "
        "`issuer` (of record numbers).",
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
            "use_tls", "events", "contents", "options", "secrets", "finds_priors", "is_enabled",
            "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at"]
        validators: list[Any] = []

    def validate_secrets(self, secrets: dict[str, str]) -> dict[str, str]:
        """Refuse names that mean nothing."""
        unknown = set(secrets) - {"bearer_token", "signing_key", "certificate", "key", "ca"}
        if unknown:
            raise serializers.ValidationError(f"Unknown: {', '.join(sorted(unknown))}.")
        return secrets


@extend_schema_serializer(
    examples=[OpenApiExample("It does not answer", {"reached": False, "code": "peer_unreachable"})]
)
class DestinationTestSerializer(serializers.Serializer[Any]):
    """Whether a destination answers."""

    reached = serializers.BooleanField()
    code = serializers.CharField(help_text="What is wrong; empty when it answers.")


@extend_schema_serializer(
    examples=[OpenApiExample("Delivery", _DELIVERY, status_codes=["200", "202"])]
)
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

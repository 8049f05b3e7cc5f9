"""What is known of a model, as FHIR DocumentReference: its card."""

import base64
import json
from datetime import datetime

from fhir.resources.R4B.documentreference import DocumentReference as FhirDocumentReference

from diagnosis.interop.fhir_base import (
    FhirContext,
    Json,
    clean_line,
    compact,
    concept,
    instant,
    reference,
)
from diagnosis.models import ModelVersion

_LIMITS = "Aids and does not replace a clinician. Figures hold for the data they were measured on."


def _card(model: ModelVersion) -> list[Json]:
    """Return the card that its makers wrote, when there is one."""
    if not model.card.strip():
        return []
    content = model.card.encode()
    data = base64.b64encode(content).decode()
    return [
        {
            "attachment": {
                "contentType": "text/markdown",
                "data": data,
                "size": len(content),
                "title": "Model card, as its makers wrote it",
            }
        }
    ]


def fhir_model_card(context: FhirContext, model: ModelVersion) -> FhirDocumentReference:
    """Return the facts that are registered with a model version as JSON, and its makers' card."""
    facts = {
        "name": model.name,
        "version": model.version,
        "weights_sha256": model.sha256,
        "preprocessing": model.preprocessing_version,
        "calibration": model.calibration_id,
        "thresholds": {
            "suspicion": model.threshold_suspicion,
            "definite": model.threshold_definite,
        },
        "metrics": model.manifest.get("metrics", {}),
        "limits": _LIMITS,
    }
    name = f"{clean_line(model.name)} {clean_line(model.version)}"
    content = json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()
    made: datetime | None = model.created_at
    return FhirDocumentReference.model_validate(
        compact(
            {
                "id": str(model.pk),
                "meta": {"lastUpdated": instant(made) if made else None},
                "masterIdentifier": {
                    "system": context.site_system("model-card"),
                    "value": f"{clean_line(model.name)}/{clean_line(model.version)}",
                },
                "status": "current" if model.is_active else "superseded",
                "docStatus": "final",
                "type": concept(text="AI model card"),
                "date": instant(made) if made else None,
                "description": f"Model card of {name}",
                "content": [
                    {
                        "attachment": {
                            "contentType": "application/json",
                            "data": base64.b64encode(content).decode(),
                            "size": len(content),
                            "title": "Model card",
                        }
                    },
                    *_card(model),
                ],
                "context": {"related": [reference("Device", model.pk)]},
            }
        )
    )

"""The one table of what is served: routes, searches and the CapabilityStatement come from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import AuditEvent, User
from accounts.policy import Action
from diagnosis.api.fhir.parameters import (
    EVERYTHING,
    NOTHING,
    Parameter,
    chained_identifier,
    codes,
    day,
    identifier,
    moment,
    reference,
    token,
    words,
)
from diagnosis.interop.fhir_base import FhirContext
from diagnosis.interop.fhir_orders import source_of
from diagnosis.models import Analysis, Order, StudyImage
from diagnosis.selectors import fhir
from diagnosis.services import fhir_build as build

_ISSUED = "When the analysis ended; the time of exposure is not kept."
_REGISTERED = "When the study was registered; the time of exposure is not kept."


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of rows behind a resource type, and which columns its parameters look at.

    ``of`` are the rows of one patient: all that an app of that patient is told.
    """

    rows: Callable[[User], QuerySet[Any]]
    build: build.Build
    search: Mapping[str, Parameter]
    patient: Callable[[Any], UUID | None] = lambda _row: None
    of: Callable[[UUID], Q] = lambda _patient: NOTHING


@dataclass(frozen=True, slots=True)
class Served:
    """One resource type; ``noun`` names it in the audit trail, ``""`` holds nothing of a patient.

    ``includes`` gives for each search parameter the element that holds the reference, and its
    type.
    """

    kind: str
    sources: tuple[Source, ...]
    action: Action
    noun: str = ""
    includes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    writes: tuple[str, ...] = ()

    @property
    def search(self) -> Mapping[str, Parameter]:
        """All parameters; every source knows the same ones."""
        return self.sources[0].search


def _id(_context: FhirContext, _system: str | None, code: str) -> Q:
    try:
        return Q(pk=UUID(code))
    except ValueError:
        return NOTHING


def _number(_context: FhirContext, _system: str | None, code: str) -> Q:
    return Q(pk=int(code)) if code.isdecimal() and len(code) < 18 else NOTHING


def _everywhere(ids: Callable[..., Q] = _id) -> dict[str, Parameter]:
    return {"_id": token(ids), "_lastUpdated": moment("fhir_updated")}


def _of_patient(prefix: str) -> dict[str, Parameter]:
    """Return the ways to ask for what belongs to one patient."""
    patient = reference("Patient", f"{prefix}_id")
    number = chained_identifier("record-number", f"{prefix}__record_number")
    return {
        "patient": patient,
        "subject": patient,
        "patient.identifier": number,
        "subject.identifier": number,
    }


def _uid(context: FhirContext, system: str | None, code: str) -> Q:
    """Return the study with an accession number or a Study Instance UID."""
    found = NOTHING
    if system in {None, context.identifier_system("accession-number")} and code:
        found |= Q(accession_number=code)
    uid = code.removeprefix("urn:oid:")
    if system in {None, "urn:dicom:uid"} and uid:
        found |= Q(study_instance_uid=uid)
        made = uid.removeprefix("2.25.")
        if made != uid and made.isdecimal() and int(made) < 2**128:
            found |= Q(study_instance_uid="", pk=UUID(int=int(made)))
    return found


def _order_number(context: FhirContext, system: str | None, code: str) -> Q:
    found = NOTHING
    if system in {None, context.identifier_system("accession-number")}:
        found |= Q(study__accession_number=code)
    if system is None:
        found |= Q(placer_number=code)
    else:
        found |= Q(placer_number=code, source=source_of(system))
    return found


def _digest(_context: FhirContext, _system: str | None, code: str) -> Q:
    return Q(versions__content_sha256=code) if code else NOTHING


def _patients(column: str) -> Callable[[UUID], Q]:
    """Return which rows are of a patient, by the column that leads there."""
    return lambda patient: Q(**{f"{column}_id": patient})


def _models_used(patient: UUID) -> Q:
    """Return the models that have looked at a patient's images."""
    runs = Analysis.objects.filter(image__study__patient_id=patient)
    return Q(pk__in=runs.values("model_version"))


_HAS_IMAGES = Q(Exists(StudyImage.objects.filter(study=OuterRef("pk"))))
_ACTIVE = Q(status=Order.Status.ACTIVE)

PATIENTS = Source(
    lambda user: fhir.fhir_patients(user=user),
    build.patients,
    {
        **_everywhere(),
        "identifier": identifier({"record-number": "record_number"}),
        "name": words("family_name", "given_name"),
        "family": words("family_name"),
        "given": words("given_name"),
        "birthdate": day("birth_date"),
        "gender": codes({sex: Q(sex=sex) for sex in ("female", "male", "other", "unknown")}),
        "active": codes(
            {"true": Q(merged_into__isnull=True), "false": Q(merged_into__isnull=False)}
        ),
    },
    lambda row: row.pk,
    of=lambda patient: Q(pk=patient),
)
ORDERS = Source(
    lambda user: fhir.fhir_orders(user=user),
    build.orders,
    {
        **_everywhere(),
        **_of_patient("study__patient"),
        "identifier": token(_order_number),
        "status": codes(
            {
                "active": _ACTIVE & ~Q(study__status="reported"),
                "completed": _ACTIVE & Q(study__status="reported"),
                "revoked": ~_ACTIVE,
            }
        ),
        "authored": moment("told_at"),
        "occurrence": moment("scheduled_at"),
    },
    lambda row: row.study.patient_id,
    of=_patients("study__patient"),
)
STUDIES = Source(
    lambda user: fhir.fhir_studies(user=user),
    build.studies,
    {
        **_everywhere(),
        **_of_patient("patient"),
        "identifier": token(_uid),
        "status": codes({"available": _HAS_IMAGES, "registered": ~_HAS_IMAGES}),
        "started": moment("created_at", _REGISTERED),
        "basedon": reference("ServiceRequest", "orders"),
    },
    lambda row: row.patient_id,
    of=_patients("patient"),
)


def _observation(prefix: str, kind: str) -> dict[str, Parameter]:
    other = "fracture" if kind == "fracture-in-image" else "fracture-in-image"
    signed = Q(signed_at__isnull=False)
    return {
        **_everywhere(),
        **_of_patient(f"{prefix}image__study__patient"),
        "status": codes({"final": signed, "preliminary": ~signed}),
        "code": codes({kind: EVERYTHING, other: NOTHING}),
        "date": moment("fhir_at", _ISSUED),
        "derived-from": reference("ImagingStudy", f"{prefix}image__study_id"),
        "device": reference("Device", f"{prefix}model_version_id"),
    }


IMAGE_OBSERVATIONS = Source(
    lambda user: fhir.fhir_analyses(user=user),
    build.image_observations,
    {
        **_observation("", "fracture-in-image"),
        "identifier": token(lambda *_args: NOTHING),
    },
    lambda row: row.image.study.patient_id,
    of=_patients("image__study__patient"),
)


def _finding_uid(_context: FhirContext, system: str | None, code: str) -> Q:
    made = code.removeprefix("urn:oid:").removeprefix("2.25.")
    if system not in {None, "urn:dicom:uid"} or not made.isdecimal() or int(made) >= 2**128:
        return NOTHING
    return Q(uid=UUID(int=int(made)))


FINDING_OBSERVATIONS = Source(
    lambda user: fhir.fhir_findings(user=user),
    build.finding_observations,
    {**_observation("analysis__", "fracture"), "identifier": token(_finding_uid)},
    lambda row: row.analysis.image.study.patient_id,
    of=_patients("analysis__image__study__patient"),
)
REPORTS = Source(
    lambda user: fhir.fhir_reports(user=user),
    build.reports,
    {
        **_everywhere(),
        **_of_patient("study__patient"),
        "identifier": token(_digest),
        "status": codes(
            {
                "preliminary": Q(signed_number__isnull=True),
                "final": Q(signed_number=1),
                "amended": Q(signed_number__gt=1),
            }
        ),
        "date": moment("signed_at"),
        "issued": moment("signed_at"),
    },
    lambda row: row.study.patient_id,
    of=_patients("study__patient"),
)
_MODEL = {**_everywhere(), "status": codes({"active": Q(stage="active"),
                                            "inactive": ~Q(stage="active")})}  # fmt: skip
DEVICES = Source(
    lambda _user: fhir.fhir_models(),
    build.devices,
    {**_MODEL, "identifier": identifier({"model-weights": "sha256"})},
    of=_models_used,
)
MODEL_CARDS = Source(
    lambda _user: fhir.fhir_models(),
    build.model_cards,
    {
        **_everywhere(),
        "status": codes({"current": Q(stage="active"), "superseded": ~Q(stage="active")}),
        "date": moment("created_at"),
        "related": reference("Device", "pk"),
    },
    of=_models_used,
)


def _provenance(prefix: str, target: Parameter) -> dict[str, Parameter]:
    return {
        **_everywhere(),
        "patient": reference("Patient", f"{prefix}patient_id"),
        "recorded": moment("fhir_at"),
        "target": target,
    }


def _target(kind: str, *columns: str) -> Parameter:
    """Return a reference to one kind of target; another kind matches nothing of these rows."""
    single = [reference(kind, column) for column in columns]

    def condition(context: FhirContext, modifier: str, value: str) -> Q:
        named = value.removeprefix(f"{context.fhir_url}/").partition("/")[0]
        if "/" in value and named != kind:
            return NOTHING
        found = NOTHING
        for parameter in single:
            found |= parameter.condition(context, modifier, value)
        return found

    return Parameter("reference", condition)


ANALYSIS_PROVENANCES = Source(
    lambda user: fhir.fhir_analyses(user=user),
    build.analysis_provenances,
    _provenance("image__study__", _target("Observation", "pk", "findings")),
    lambda row: row.image.study.patient_id,
    of=_patients("image__study__patient"),
)
REPORT_PROVENANCES = Source(
    lambda user: fhir.fhir_signed_versions(user=user),
    build.report_provenances,
    _provenance("report__study__", _target("DiagnosticReport", "report_id")),
    lambda row: row.report.study.patient_id,
    of=_patients("report__study__patient"),
)
AUDIT_EVENTS = Source(
    lambda _user: fhir.fhir_audit_events(),
    build.audit_events,
    {
        **_everywhere(_number),
        "patient": reference("Patient", "patient_id"),
        "entity": _target("Patient", "patient_id"),
        "date": moment("at"),
        "outcome": codes(
            {
                "0": Q(outcome=AuditEvent.Outcome.SUCCESS),
                "4": Q(outcome=AuditEvent.Outcome.DENIED),
                "8": Q(outcome=AuditEvent.Outcome.FAILED),
            }
        ),
        "subtype": token(lambda _context, _system, code: Q(action=code)),
    },
    lambda row: row.patient_id,
    of=lambda patient: Q(patient_id=patient),
)

_PATIENT = {"patient": ("subject", "Patient"), "subject": ("subject", "Patient")}
RESOURCES: Mapping[str, Served] = {
    served.kind: served
    for served in (
        Served("Patient", (PATIENTS,), Action.PATIENT_VIEW, "patient"),
        Served(
            "ServiceRequest", (ORDERS,), Action.STUDY_VIEW, "order", _PATIENT, ("create", "update")
        ),
        Served(
            "ImagingStudy",
            (STUDIES,),
            Action.STUDY_VIEW,
            "study",
            {**_PATIENT, "basedon": ("basedOn", "ServiceRequest")},
        ),
        Served(
            "Observation",
            (IMAGE_OBSERVATIONS, FINDING_OBSERVATIONS),
            Action.STUDY_VIEW,
            "finding",
            {
                **_PATIENT,
                "derived-from": ("derivedFrom", "ImagingStudy"),
                "device": ("device", "Device"),
                "has-member": ("hasMember", "Observation"),
            },
        ),
        Served(
            "DiagnosticReport",
            (REPORTS,),
            Action.REPORT_VIEW,
            "report",
            {
                **_PATIENT,
                "result": ("result", "Observation"),
                "imaging-study": ("imagingStudy", "ImagingStudy"),
            },
        ),
        Served("Device", (DEVICES,), Action.STUDY_VIEW),
        Served("DocumentReference", (MODEL_CARDS,), Action.STUDY_VIEW),
        Served(
            "Provenance",
            (ANALYSIS_PROVENANCES, REPORT_PROVENANCES),
            Action.REPORT_VIEW,
            "provenance",
        ),
        Served("AuditEvent", (AUDIT_EVENTS,), Action.AUDIT_VIEW, "audit"),
    )
}

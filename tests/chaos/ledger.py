"""What the database and the store hold of some clinics in the end: the only witness that counts."""

from collections import Counter
from dataclasses import dataclass

from accounts.audit_chain import chain_verify, chains_seal
from accounts.models import AuditEvent, Clinic
from accounts.tenancy import clinic_scope
from diagnosis.models import Analysis, Finding, JobOverview, Study, StudyImage
from diagnosis.storage import object_list

KEYS = ("original_key", "served_key", "thumbnail_key")


@dataclass(frozen=True)
class Ledger:
    """Rows of all clinics together."""

    images: int
    jobs: int
    succeeded: int
    unfinished: int
    images_without_result: int
    results_more_than_one: int
    findings_twice: int
    studies_not_ready: int
    uploads_audited: int
    results_audited: int
    audit_flaws: int
    objects_missing: int
    executions: int


def states(clinics: list[Clinic]) -> Counter[str]:
    """Return how many analyses of the clinics are in which state."""
    found = JobOverview.objects.filter(
        kind="analysis", clinic_id__in=[clinic.pk for clinic in clinics]
    )
    return Counter(found.values_list("status", flat=True))


def read_ledger(clinics: list[Clinic]) -> Ledger:
    """Count everything; the audit trail is sealed and verified."""
    while chains_seal():
        pass
    parts = [_of_clinic(clinic) for clinic in clinics]
    total = Counter[str]()
    for part in parts:
        total.update(part)
    stored = {key for kind in ("originals", "served", "thumbnails", "renditions", "heatmaps")
              for key, _written in object_list(kind)}  # fmt: skip
    keys = [key for clinic in clinics for key in _keys_of(clinic)]
    total["objects_missing"] = sum(key not in stored for key in keys)
    return Ledger(**{name: total[name] for name in Ledger.__dataclass_fields__})


def _of_clinic(clinic: Clinic) -> dict[str, int]:
    with clinic_scope(clinic.pk):
        images = set(StudyImage.objects.values_list("pk", flat=True))
        rows = list(Analysis.objects.values_list("image_id", "status", "attempts"))
        results = Counter(image for image, status, _ in rows if status == "succeeded")
        boxes = list(Finding.objects.values_list("analysis_id", "x", "y", "width", "height"))
        events = Counter(AuditEvent.objects.values_list("action", flat=True))
        studies = Study.objects.filter(images__isnull=False).distinct()
        report = chain_verify(AuditEvent.objects.all(), clinic.pk)
        return {
            "images": len(images),
            "jobs": len(rows),
            "succeeded": sum(results.values()),
            "unfinished": len(rows) - sum(results.values()),
            "images_without_result": len(images - set(results)),
            "results_more_than_one": sum(count > 1 for count in results.values()),
            "findings_twice": len(boxes) - len(set(boxes)),
            "studies_not_ready": studies.exclude(status="ready").count(),
            "uploads_audited": events["image.upload"],
            "results_audited": events["analysis.succeeded"],
            "audit_flaws": int(report.flaw is not None) + report.waiting,
            "executions": sum(attempts for _, _, attempts in rows),
        }


def _keys_of(clinic: Clinic) -> list[str]:
    with clinic_scope(clinic.pk):
        found = [
            key
            for image in StudyImage.objects.all()
            for key in (*(getattr(image, name) for name in KEYS), *image.rendition_keys)
        ]
        found += Analysis.objects.exclude(heatmap_key="").values_list("heatmap_key", flat=True)
        return found

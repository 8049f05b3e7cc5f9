"""Studies that are ordered or registered and have no image yet: a machine's worklist."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from django.db.models import DateField, Exists, OuterRef, Prefetch, Q
from django.db.models.functions import Coalesce, TruncDate

from accounts.models import User
from diagnosis.models import Order, Study, StudyImage
from diagnosis.selectors.dicom_query import (
    STUDY_KEYS,
    date_range,
    name_annotation,
    text_condition,
)

_SAME = ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID")


def worklist_entries(
    *, user: User, keys: Mapping[str, str], time_zone: str
) -> list[tuple[Study, Order | None]]:
    """Return what is to be examined, soonest first; a cancelled order is not.

    Raises:
        QueryError: a key's value cannot be matched.
    """
    zone = ZoneInfo(time_zone)
    active = Order.objects.for_user(user).filter(study=OuterRef("pk"), status=Order.Status.ACTIVE)
    cancelled = Order.objects.for_user(user).filter(study=OuterRef("pk"))
    studies = (
        Study.objects.for_user(user)
        .filter(~Exists(StudyImage.objects.filter(study=OuterRef("pk"))))
        .filter(Exists(active) | ~Exists(cancelled))
        .select_related("patient", "clinic")
        .defer("search", "patient__search")
        .prefetch_related(
            Prefetch("orders", Order.objects.for_user(user).filter(status=Order.Status.ACTIVE))
        )
        .annotate(
            dicom_name=name_annotation(),
            moment=Coalesce(
                active.order_by("scheduled_at").values("scheduled_at")[:1], "created_at"
            ),
        )
        .annotate(day=TruncDate("moment", tzinfo=zone, output_field=DateField()))
    )
    conditions = {key: STUDY_KEYS[key] for key in _SAME} | {
        "ScheduledProcedureStepStartDate": date_range("day"),
    }
    for key, condition in conditions.items():
        if keys.get(key, "") not in {"", "*"}:
            studies = studies.filter(condition(key, keys[key]))
    for key, field, otherwise in (
        ("Modality", "modality", "DX"),
        ("ScheduledStationAETitle", "station_ae_title", ""),
    ):
        wanted = keys.get(key, "")
        if wanted not in {"", "*"}:
            fits = Exists(active.filter(text_condition(field)(key, wanted)))
            # A study that somebody registered by hand names no machine: any may take it.
            by_hand = ~Exists(active) if otherwise in {"", wanted} else Q(pk__in=[])
            studies = studies.filter(fits | by_hand)
    found = studies.order_by("moment", "id")
    return [(study, next(iter(study.orders.all()), None)) for study in found]

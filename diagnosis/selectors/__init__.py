"""Every read of clinical rows for pages and API, always with ``user=``.

Each function returns rows of the current clinic only (``for_user``). The ones
named ``*_get`` raise ``Http404`` for a foreign and for a missing row alike.
"""

from diagnosis.selectors.model_versions import model_version_list
from diagnosis.selectors.patients import patient_get, patient_list
from diagnosis.selectors.reports import (
    report_get,
    report_list,
    report_version_get,
)
from diagnosis.selectors.studies import (
    analysis_get,
    earlier_studies,
    image_get,
    study_get,
    study_images,
    study_list,
)
from diagnosis.selectors.worklist import WorklistTab, worklist, worklist_counts

__all__ = [
    "WorklistTab",
    "analysis_get",
    "earlier_studies",
    "image_get",
    "model_version_list",
    "patient_get",
    "patient_list",
    "report_get",
    "report_list",
    "report_version_get",
    "study_get",
    "study_images",
    "study_list",
    "worklist",
    "worklist_counts",
]

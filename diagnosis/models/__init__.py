"""The clinical tables; every one carries its clinic."""

from diagnosis.models.alerts import Alert, AlertRecipient
from diagnosis.models.analyses import Analysis, Finding
from diagnosis.models.annotations import Annotation, StudyKeyImage
from diagnosis.models.base import ClinicOwnedModel, ClinicOwnedQuerySet, Job, Priority
from diagnosis.models.deliveries import Content, Delivery, Destination, Event
from diagnosis.models.devices import Device
from diagnosis.models.discrepancies import Discrepancy, RecallContact, RecallTask
from diagnosis.models.drafting import DraftCopy, TextMacro
from diagnosis.models.erasures import Erasure, PatientExport, RetentionHold, RetentionPolicy
from diagnosis.models.finding_reviews import FindingReview
from diagnosis.models.first_reads import FirstRead, FractureAnswer, MindChange, PreliminaryRead
from diagnosis.models.hl7 import Hl7Message, Hl7Sender
from diagnosis.models.idempotency import IdempotencyRecord
from diagnosis.models.job_overview import JobOverview
from diagnosis.models.model_versions import ModelChange, ModelVersion
from diagnosis.models.orders import Order
from diagnosis.models.patients import Patient
from diagnosis.models.priors import PriorFetch
from diagnosis.models.recall_notices import RecallNotice
from diagnosis.models.reports import Report, ReportVersion
from diagnosis.models.resumable import ResumableUpload
from diagnosis.models.second_readings import ReportWithdrawal, SecondReading
from diagnosis.models.shadow_runs import ShadowRun
from diagnosis.models.shares import ShareComment, StudyShare
from diagnosis.models.site_validations import SiteValidation
from diagnosis.models.studies import Study, StudyImage, Verdict
from diagnosis.models.training_consents import TrainingConsent
from diagnosis.models.worklist import ClinicRules, SavedFilter, StudyClaim

__all__ = [
    "Alert",
    "AlertRecipient",
    "Analysis",
    "Annotation",
    "ClinicOwnedModel",
    "ClinicOwnedQuerySet",
    "ClinicRules",
    "Content",
    "Delivery",
    "Destination",
    "Device",
    "Discrepancy",
    "DraftCopy",
    "Erasure",
    "Event",
    "Finding",
    "FindingReview",
    "FirstRead",
    "FractureAnswer",
    "Hl7Message",
    "Hl7Sender",
    "IdempotencyRecord",
    "Job",
    "JobOverview",
    "MindChange",
    "ModelChange",
    "ModelVersion",
    "Order",
    "Patient",
    "PatientExport",
    "PreliminaryRead",
    "PriorFetch",
    "Priority",
    "RecallContact",
    "RecallNotice",
    "RecallTask",
    "Report",
    "ReportVersion",
    "ReportWithdrawal",
    "ResumableUpload",
    "RetentionHold",
    "RetentionPolicy",
    "SavedFilter",
    "SecondReading",
    "ShadowRun",
    "ShareComment",
    "SiteValidation",
    "Study",
    "StudyClaim",
    "StudyImage",
    "StudyKeyImage",
    "StudyShare",
    "TextMacro",
    "TrainingConsent",
    "Verdict",
]

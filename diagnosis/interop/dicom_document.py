"""The signed report as an Encapsulated PDF."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage

from diagnosis.interop import codes
from diagnosis.interop.contracts import ReportForDicom, ResultForDicom
from diagnosis.interop.dicom_header import (
    TRANSFER_SYNTAX,
    derived_uid,
    moment,
    reference,
    stamp,
    text,
)

SERIES_NUMBER = 9904

_FROM_SOURCE = (
    "SpecificCharacterSet",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def encapsulated_pdf(result: ResultForDicom, report: ReportForDicom) -> Dataset:
    """Return the report's bytes, unchanged, in the study of its images."""
    dataset = Dataset()
    source = reference(result, result.images[0].image)
    for keyword in _FROM_SOURCE:
        dataset[keyword] = source[keyword]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = TRANSFER_SYNTAX
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = derived_uid(report.report_id, "pdf")
    dataset.SeriesInstanceUID = derived_uid(report.report_id, "pdf", "series")
    dataset.Modality = "DOC"
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = "Signed report"
    dataset.InstanceNumber = 1
    dataset.Manufacturer = text(result.algorithm.manufacturer)
    dataset.ManufacturerModelName = text(result.algorithm.name)
    dataset.SoftwareVersions = text(result.algorithm.version)
    dataset.DeviceSerialNumber = text(result.algorithm.serial_number)
    if result.institution:
        dataset.InstitutionName = text(result.institution)
    dataset.ConversionType = "WSD"
    stamp(dataset, report.signature.signed_at)
    dataset.AcquisitionDateTime = moment(report.signature.signed_at)
    # The page shows the patient's name.
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = text(report.title, 1024)
    dataset.ConceptNameCodeSequence = [_code_item()]
    dataset.VerificationFlag = "VERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(report.pdf)
    dataset.EncapsulatedDocument = report.pdf + b"\0" * (len(report.pdf) % 2)
    return dataset


def _code_item() -> Dataset:
    code = codes.IMAGING_REPORT
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item

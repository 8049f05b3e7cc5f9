"""What we offer to DICOM peers; the conformance statement is made from these tables."""

from typing import Final

from pydicom import uid as uids
from pydicom.uid import UID

AE_TITLE: Final = "FRACTURE_SITE"
IMPLEMENTATION_UID: Final = UID("2.25.231894207219348113871062906012453127019")
IMPLEMENTATION_VERSION: Final = "FRACTURE_SITE"

VERIFICATION: Final = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
WORKLIST_FIND: Final = UID("1.2.840.10008.5.1.4.31")

STORED: Final = (
    uids.ComputedRadiographyImageStorage,
    uids.DigitalXRayImageStorageForPresentation,
    uids.DigitalXRayImageStorageForProcessing,
    uids.SecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uids.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uids.CTImageStorage,
    uids.MRImageStorage,
)
READ_BY_AI: Final = frozenset(STORED[:6])
SENT: Final = (
    ("structured report", uids.ComprehensiveSRStorage),
    ("boxes", uids.GrayscaleSoftcopyPresentationStateStorage),
    ("picture with boxes; image that came in another format", uids.SecondaryCaptureImageStorage),
    ("image of several pages", uids.MultiFrameGrayscaleByteSecondaryCaptureImageStorage),
    ("image of several pages", uids.MultiFrameGrayscaleWordSecondaryCaptureImageStorage),
    ("signed report", uids.EncapsulatedPDFStorage),
)
# What can be decoded, the preferred ones first.
TRANSFER_SYNTAXES: Final = (
    uids.ExplicitVRLittleEndian,
    uids.ImplicitVRLittleEndian,
    uids.JPEGLosslessSV1,
    uids.JPEGLossless,
    uids.JPEGLSLossless,
    uids.JPEG2000Lossless,
    uids.RLELossless,
    uids.HTJ2KLossless,
    uids.JPEGBaseline8Bit,
    uids.JPEGExtended12Bit,
    uids.JPEGLSNearLossless,
    uids.JPEG2000,
    uids.HTJ2K,
    uids.DeflatedExplicitVRLittleEndian,
    uids.ExplicitVRBigEndian,
)
QUERY_SYNTAXES: Final = (uids.ExplicitVRLittleEndian, uids.ImplicitVRLittleEndian)

# Status of C-STORE by the code of a refusal (PS3.4 B.2.3, PS3.7 C).
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
NOT_AUTHORISED: Final = 0x0124
PROCESSING_FAILURE: Final = 0x0110
NOT_SUPPORTED: Final = 0x0122
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
STORE_STATUS: Final = {
    "storage": OUT_OF_RESOURCES,
    "ingest_busy": OUT_OF_RESOURCES,
    "queue_full": OUT_OF_RESOURCES,
    "ingest_unavailable": OUT_OF_RESOURCES,
    "study_full": OUT_OF_RESOURCES,
    "too_large": OUT_OF_RESOURCES,
    "sop_instance_conflict": DUPLICATE,
    "image_in_other_study": DUPLICATE,
    "patient_id_missing": DOES_NOT_MATCH,
    "patient_differs": DOES_NOT_MATCH,
    "study_of_other_patient": DOES_NOT_MATCH,
    "study_differs": DOES_NOT_MATCH,
    "wrong_patient": DOES_NOT_MATCH,
    "unsupported_kind": NOT_SUPPORTED,
    "no_pixel_data": NOT_SUPPORTED,
    "not_a_radiograph": NOT_SUPPORTED,
    "study_is_here": DUPLICATE,
}

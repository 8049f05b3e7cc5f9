"""A study's result as a Comprehensive SR after TID 1500."""

import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from diagnosis.interop import codes
from diagnosis.interop.contracts import (
    AlgorithmForDicom,
    FindingForDicom,
    ImageResultForDicom,
    ResultForDicom,
    SourceImageForDicom,
)
from diagnosis.interop.dicom_header import (
    TRANSFER_SYNTAX,
    UTF8,
    derived_uid,
    device_uid,
    equipment,
    moment,
    person_name,
    reference,
    stamp,
    text,
    uid_of,
)

SERIES_NUMBER = 9901


def structured_report(result: ResultForDicom) -> Dataset:
    """Return the report: one group a box, and one group an image with its overall answer.

    Without a signature it is preliminary and unverified. The signed one is
    another instance of the same series.
    """
    signature = result.signature
    state = "verified" if signature else "unverified"
    # The report belongs to the study of the first one; images of other studies are only named.
    items = sorted(result.images, key=lambda item: bool(item.image.study_uid))
    evidence = [reference(result, item.image) for item in items]
    dataset = sr.ComprehensiveSR(
        evidence=evidence,
        content=_content(result)[0],
        series_instance_uid=derived_uid(result.result_id, "sr"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(result.result_id, "sr", state),
        instance_number=2 if signature else 1,
        is_complete=True,
        is_final=signature is not None,
        is_verified=signature is not None,
        verifying_observer_name=person_name(signature.signer_name) if signature else None,
        verifying_organization=text(signature.organization) if signature else None,
        institution_name=text(result.institution) or None,
        previous_versions=_predecessors(result),
        performed_procedure_codes=[codes.PLAIN_RADIOGRAPHY],
        series_description="AI findings (model recalled)"
        if result.algorithm.is_recalled
        else "AI findings",
        specific_character_set=UTF8,
        transfer_syntax_uid=TRANSFER_SYNTAX,
        **equipment(result.algorithm),
    )
    stamp(dataset, signature.signed_at if signature else result.created_at)
    if signature:
        verified_at = moment(signature.signed_at)
        dataset.VerifyingObserverSequence[0].VerificationDateTime = verified_at
    return dataset


def _content(result: ResultForDicom) -> sr.MeasurementReport:
    groups: list[
        sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
    ] = []
    number = 0
    for item in result.images:
        groups.append(_image_group(result, item))
        for finding in item.findings:
            number += 1
            groups.append(_finding_group(result.algorithm, item, finding, number))
    return sr.MeasurementReport(
        observation_context=_observer(result),
        procedure_reported=codes.PLAIN_RADIOGRAPHY,
        imaging_measurements=groups,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            sr.CodedConcept.from_code(codes.ENGLISH)
        ),
    )


def _predecessors(result: ResultForDicom) -> list[Dataset] | None:
    found = []
    for predecessor in result.predecessors:
        dataset = Dataset()
        dataset.SOPClassUID = predecessor.sop_class_uid
        dataset.SOPInstanceUID = predecessor.sop_instance_uid
        dataset.SeriesInstanceUID = predecessor.series_instance_uid
        dataset.StudyInstanceUID = result.study.instance_uid
        found.append(dataset)
    return found or None


def _observer(result: ResultForDicom) -> sr.ObservationContext:
    made_by = result.algorithm
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(made_by),
        name=text(made_by.name),
        manufacturer_name=text(made_by.manufacturer),
        model_name=text(made_by.name),
        serial_number=text(made_by.serial_number),
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=sr.CodedConcept.from_code(codes.DEVICE_OBSERVER),
            observer_identifying_attributes=device,
        )
    )


def _image_group(
    result: ResultForDicom, item: ImageResultForDicom
) -> sr.MeasurementsAndQualitativeEvaluations:
    image = item.image
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=derived_uid(result.result_id, "image", image.sop_instance_uid),
            identifier="Whole image",
        ),
        source_images=[
            sr.SourceImageForMeasurementGroup(
                image.sop_class_uid, image.sop_instance_uid, _frames(image)
            )
        ],
        finding_type=codes.FRACTURE,
        finding_sites=[_site(item)],
        algorithm_id=_algorithm(result.algorithm),
        measurements=[] if item.probability is None else [_probability(item.probability)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.PRESENCE, codes.PRESENCES[item.verdict])
        ],
    )


def _finding_group(
    algorithm: AlgorithmForDicom, item: ImageResultForDicom, finding: FindingForDicom, number: int
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    image = item.image
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=uid_of(finding.uid), identifier=f"Finding {number}"
        ),
        referenced_region=sr.ImageRegion(
            graphic_type=sr.GraphicTypeValues.POLYLINE,
            graphic_data=outline(finding, image),
            source_image=sr.SourceImageForRegion(
                image.sop_class_uid, image.sop_instance_uid, _frames(image)
            ),
        ),
        geometric_purpose=codes.BOUNDED_BY,
        finding_type=codes.FRACTURE,
        finding_sites=[_site(item)],
        algorithm_id=None if finding.by_reader else _algorithm(algorithm),
        measurements=[] if finding.probability is None else [_probability(finding.probability)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                codes.CERTAINTY_OF_FINDING, codes.CERTAINTIES[finding.certainty]
            )
        ],
    )


def outline(finding: FindingForDicom, image: SourceImageForDicom) -> NDArray[np.float64]:
    """Return the closed line around a box, kept inside of the image, as column and row."""
    left, top = max(finding.x, 0.0), max(finding.y, 0.0)
    right = min(finding.x + finding.width, float(image.columns))
    bottom = min(finding.y + finding.height, float(image.rows))
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])


def _algorithm(algorithm: AlgorithmForDicom) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(
        name=text(algorithm.name),
        version=text(algorithm.version),
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=text(algorithm.manufacturer),
        parameters=["recalled"] if algorithm.is_recalled else None,
    )


def _probability(value: float) -> sr.Measurement:
    return sr.Measurement(
        name=codes.PROBABILITY, value=round(value, 4), unit=codes.PROBABILITY_UNIT
    )


def _site(item: ImageResultForDicom) -> sr.FindingSite:
    return sr.FindingSite(
        anatomic_location=sr.CodedConcept.from_code(codes.SITES.get(item.region, codes.ANY_SITE)),
        laterality=codes.LATERALITIES.get(item.image.laterality),
    )


def _frames(image: SourceImageForDicom) -> list[int] | None:
    """Return the frame that was read, which only multi-frame classes number."""
    return [1] if image.is_multi_frame else None

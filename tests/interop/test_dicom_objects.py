"""The DICOM objects are read back and say what the result says."""

import datetime
import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pydicom
import pytest
import time_machine
from pydicom.dataset import Dataset

from diagnosis.interop.contracts import (
    FindingForDicom,
    ImageResultForDicom,
    ImageVerdict,
    ResultForDicom,
)
from diagnosis.interop.dicom_capture import WARNING, secondary_capture
from diagnosis.interop.dicom_document import encapsulated_pdf
from diagnosis.interop.dicom_header import identifier, person_name, to_bytes, uid_of
from diagnosis.interop.dicom_presentation import presentation_state
from diagnosis.interop.dicom_sr import structured_report
from tests.interop.dicom_results import (
    CANNOT_ASSESS,
    CLEAN,
    DEFINITE,
    IMAGE,
    REPORT,
    SIGNATURE,
    SUSPICION,
    item,
    pixels,
    result,
)

SECOND = replace(IMAGE, sop_instance_uid="1.2.3.4.6", photometric_interpretation="MONOCHROME1")
FRAMES = replace(
    IMAGE,
    sop_instance_uid="1.2.3.4.7",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.7.3",
    modality="OT",
    frame_count=3,
    laterality="",
    window=(2048.0, 4096.0),
)
RESCALED = replace(
    IMAGE,
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
    modality="CR",
    laterality="B",
    rescale=(1.0, -5.0),
)
RESULTS = {
    "findings": result(),
    "nothing found": result(CLEAN),
    "cannot assess": result(CANNOT_ASSESS),
    "signed": result(signature=SIGNATURE),
    "located nowhere": result(item(findings=())),
    "several images": result(item(), item(image=SECOND), replace(CLEAN, image=FRAMES)),
    "rescaled, multi-frame": result(item(image=RESCALED), item(image=FRAMES, region="unheard of")),
    "nameless": result(
        patient=replace(result().patient, patient_id="", name="", birth_date=None, sex=""),
        study=replace(result().study, study_date=None, study_time=None, accession_number=""),
        institution="",
    ),
}


def objects(made: ResultForDicom) -> Iterator[Dataset]:
    """Yield every object of a result."""
    yield structured_report(made)
    for part in made.images:
        yield presentation_state(made, part)
        yield secondary_capture(made, part, pixels(part.image))
    yield encapsulated_pdf(made, REPORT)


def reread(dataset: Dataset) -> Dataset:
    return pydicom.dcmread(io.BytesIO(to_bytes(dataset)))


def walk(node: Dataset) -> Iterator[Dataset]:
    yield node
    for child in node.get("ContentSequence", []):
        yield from walk(child)


def meaning(node: Dataset) -> str:
    return (
        str(node.ConceptNameCodeSequence[0].CodeMeaning)
        if "ConceptNameCodeSequence" in node
        else ""
    )


def groups(report: Dataset) -> list[dict[str, Dataset]]:
    """Return each measurement group as its items by name."""
    return [
        {meaning(child): child for child in node.ContentSequence}
        for node in walk(report)
        if meaning(node) == "Measurement Group"
    ]


def coded(node: Dataset) -> tuple[str, str]:
    code = node.ConceptCodeSequence[0]
    return str(code.CodingSchemeDesignator), str(code.CodeValue)


@pytest.mark.parametrize("name", RESULTS)
def test_every_object_reads_back_with_the_same_patient_study_and_utf8(name: str) -> None:
    made = RESULTS[name]
    for dataset in map(reread, objects(made)):
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert str(dataset.PatientName) == made.patient.name
        assert dataset.PatientID == made.patient.patient_id
        assert dataset.StudyInstanceUID == made.study.instance_uid
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.Manufacturer == "Fracture Site"
        assert dataset.SoftwareVersions == "1.2.0"
        assert dataset.SOPInstanceUID.is_valid
        assert dataset.SeriesInstanceUID != IMAGE.series_instance_uid


def test_a_finding_has_the_same_uid_in_the_report_and_in_the_presentation_state() -> None:
    made = result()
    in_report = {
        g["Tracking Unique Identifier"].UID for g in groups(reread(structured_report(made)))
    }
    state = reread(presentation_state(made, made.images[0]))
    in_state = {
        line.TrackingUID
        for a in state.GraphicAnnotationSequence
        for line in a.GraphicObjectSequence
    }
    assert in_state == {"2.25.11", "2.25.22"} == {uid_of(DEFINITE.uid), uid_of(SUSPICION.uid)}
    assert in_state < in_report


def test_a_finding_is_coded_with_box_probability_certainty_site_and_algorithm() -> None:
    _, definite, suspicion = groups(reread(structured_report(result())))
    assert coded(definite["Finding"]) == ("SCT", "125605004")
    assert coded(definite["Finding Site"]) == ("SCT", "74670003")
    assert coded(definite["Finding Site"].ContentSequence[0]) == ("SCT", "7771000")
    assert coded(definite["Algorithm Family"]) == ("DCM", "123110")
    assert definite["Algorithm Name"].TextValue == "Limb detector"
    assert definite["Algorithm Version"].TextValue == "1.2.0"
    assert definite["Probability"].MeasuredValueSequence[0].NumericValue == pytest.approx(0.874)
    assert coded(definite["Certainty of Finding"]) == ("DCM", "121053")
    assert coded(suspicion["Certainty of Finding"]) == ("SCT", "415684004")
    assert coded(definite["Geometric purpose of region"]) == ("SCT", "75958009")
    region = definite["Image Region"]
    assert region.GraphicType == "POLYLINE"
    assert list(region.GraphicData) == [10, 60, 60, 60, 60, 100, 10, 100, 10, 60]
    source = region.ContentSequence[0].ReferencedSOPSequence[0]
    assert source.ReferencedSOPInstanceUID == IMAGE.sop_instance_uid


@pytest.mark.parametrize(
    ("part", "presence", "probability"),
    [(CLEAN, "121054", 0.02), (CANNOT_ASSESS, "121059", None), (item(), "121053", 0.9)],
)
def test_the_whole_image_says_present_absent_or_undetermined(
    part: ImageResultForDicom, presence: str, probability: float | None
) -> None:
    whole = groups(reread(structured_report(result(part))))[0]
    assert coded(whole["Presence of property"]) == ("DCM", presence)
    assert ("Probability" in whole) == (probability is not None)
    if probability is not None:
        assert whole["Probability"].MeasuredValueSequence[0].NumericValue == pytest.approx(
            probability
        )


def test_the_report_is_verified_only_when_signed_and_then_another_instance() -> None:
    before = reread(structured_report(result()))
    after = reread(structured_report(result(signature=SIGNATURE)))
    assert (before.VerificationFlag, before.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "VerifyingObserverSequence" not in before
    assert (after.VerificationFlag, after.PreliminaryFlag) == ("VERIFIED", "FINAL")
    observer = after.VerifyingObserverSequence[0]
    assert str(observer.VerifyingObserverName) == "Ångström^Åsa"
    assert observer.VerifyingOrganization == "Klinik Süd"
    assert observer.VerificationDateTime == "20260102040405+0000"
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert before.SeriesInstanceUID == after.SeriesInstanceUID


def test_a_suspicion_is_dashed_and_in_its_own_layer() -> None:
    made = result()
    state = reread(presentation_state(made, made.images[0]))
    definite, suspicion = state.GraphicAnnotationSequence
    assert (definite.GraphicLayer, suspicion.GraphicLayer) == ("AI DEFINITE", "AI SUSPICION")
    assert [line.NumberOfGraphicPoints for line in definite.GraphicObjectSequence] == [5]
    assert {line.NumberOfGraphicPoints for line in suspicion.GraphicObjectSequence} == {2}
    assert len(suspicion.GraphicObjectSequence) == 24
    assert definite.TextObjectSequence[0].UnformattedTextValue == "AI 1.2.0 87%"
    assert [layer.GraphicLayer for layer in state.GraphicLayerSequence] == [
        "AI DEFINITE",
        "AI SUSPICION",
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [(CLEAN, "AI 1.2.0 no fracture seen (2%)"), (CANNOT_ASSESS, "AI 1.2.0 cannot assess")],
)
def test_an_image_without_a_box_says_why(part: ImageResultForDicom, words: str) -> None:
    made = result(part)
    (note,) = reread(presentation_state(made, part)).GraphicAnnotationSequence
    assert note.TextObjectSequence[0].UnformattedTextValue == words
    assert "GraphicObjectSequence" not in note


def test_an_inverted_image_stays_inverted_under_the_presentation_state() -> None:
    made = result(item(), item(image=SECOND))
    shapes = [presentation_state(made, part).PresentationLUTShape for part in made.images]
    assert shapes == ["IDENTITY", "INVERSE"]


def test_the_window_and_rescale_of_the_image_are_kept() -> None:
    part = item(image=replace(IMAGE, window=(2048.0, 4096.0), rescale=(2.0, -5.0)))
    state = reread(presentation_state(result(part), part))
    voi = state.SoftcopyVOILUTSequence[0]
    assert (voi.WindowCenter, voi.WindowWidth) == (2048, 4096)
    assert (state.RescaleSlope, state.RescaleIntercept) == (2, -5)


def test_images_of_both_sides_do_not_share_a_series() -> None:
    right = replace(IMAGE, sop_instance_uid="1.2.3.4.8", laterality="R")
    made = result(item(), CLEAN, item(image=right))
    states = [presentation_state(made, part) for part in made.images]
    captures = [secondary_capture(made, part, pixels()) for part in made.images]
    for kind in (states, captures):
        assert [dataset.Laterality for dataset in kind] == ["L", "L", "R"]
        assert kind[0].SeriesInstanceUID == kind[1].SeriesInstanceUID
        assert kind[0].SeriesInstanceUID != kind[2].SeriesInstanceUID


def test_a_colour_image_has_no_grayscale_presentation_state() -> None:
    made = result(item(image=replace(IMAGE, samples_per_pixel=3)))
    with pytest.raises(ValueError, match="grey"):
        presentation_state(made, made.images[0])


def test_a_capture_burns_boxes_in_and_leaves_the_original_untouched() -> None:
    made, original = result(), pixels()
    original.flags.writeable = False
    burned = reread(secondary_capture(made, made.images[0], original)).pixel_array
    assert (original == 90).all()
    assert (burned[60, 10:60] == (255, 64, 64)).all(), "a solid line"
    dashed = (burned[120, 150:210] == (255, 200, 40)).all(axis=1)
    assert 0.3 < dashed.mean() < 0.9, "a broken line"
    assert (burned[150:190, 10:100] == 90).all(), "nothing else is changed"
    assert burned.shape[0] > IMAGE.rows
    assert (burned[IMAGE.rows :] == 255).any(), "the words stand below the image"


def test_a_capture_says_what_it_is_in_its_header_too() -> None:
    made = result(CANNOT_ASSESS)
    capture = reread(secondary_capture(made, CANNOT_ASSESS, pixels()))
    assert capture.SeriesDescription == WARNING
    assert capture.BurnedInAnnotation == "YES"
    assert capture.DerivationDescription == f"{WARNING}; 1.2.0"


def test_the_words_of_a_tiny_image_are_not_cut() -> None:
    small = replace(IMAGE, rows=16, columns=16)
    part = item(image=small, findings=(replace(DEFINITE, x=2, y=2, width=500, height=500),))
    made = result(part)
    capture = reread(secondary_capture(made, part, pixels(small))).pixel_array
    assert capture.shape[1] > 100
    assert (capture[20:, -3:] == 0).all()


def test_the_words_at_a_box_on_the_right_edge_are_not_cut() -> None:
    part = item(findings=(replace(DEFINITE, x=290.0, y=100.0, width=10.0),))
    burned = reread(secondary_capture(result(part), part, pixels())).pixel_array
    above_the_box = burned[80:98]
    assert (above_the_box[:, 200:280] != 90).any(), "the words have moved to the left"
    assert (above_the_box[:, -4:] == 90).all()


def test_a_capture_of_other_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        secondary_capture(result(), item(), np.zeros((3, 3), np.uint8))


def test_the_encapsulated_report_is_the_signed_pdf() -> None:
    document = reread(encapsulated_pdf(result(), REPORT))
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == REPORT.pdf
    assert len(document.EncapsulatedDocument) % 2 == 0
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.VerificationFlag == "VERIFIED"


def test_the_same_result_gives_the_same_bytes_whenever_it_is_written() -> None:
    with time_machine.travel(datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC), tick=False):
        first = [to_bytes(d) for d in objects(RESULTS["signed"])]
    with time_machine.travel(datetime.datetime(2031, 7, 9, 1, 2, tzinfo=datetime.UTC), tick=False):
        second = [to_bytes(d) for d in objects(RESULTS["signed"])]
    assert first == second


def test_another_result_gets_other_identifiers() -> None:
    one, other = result(), result(result_id=UUID(int=100))
    report = REPORT
    ours = {d.SOPInstanceUID for d in objects(one)} - {encapsulated_pdf(one, report).SOPInstanceUID}
    assert len(ours) == 3
    assert not ours & {d.SOPInstanceUID for d in objects(other)} - {
        encapsulated_pdf(other, report).SOPInstanceUID
    }


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("山田^太郎", "山田^太郎"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎"),
        ("O'Neil\\^Mac\x00Bell\n", "O'Neil ^Mac Bell"),
        ("Mononym", "Mononym^"),
        ("Yamada=山田", "Yamada^=山田"),
        ("مهر\u200cدخت^م", "مهر\u200cدخت^م"),
        ("Broken\ud800^Text", "Broken ^Text"),
        ("=^", ""),
        ("محمد^علي", "محمد^علي"),
        ("A" * 200, "A" * 63 + "^"),
        ("B^" + "C" * 200, "B^" + "C" * 62),
        ("a^b^c^d^e^f^g", "a^b^c^d^e"),
    ],
)
def test_hostile_long_and_foreign_names_are_written_as_one_valid_name(
    given: str, written: str
) -> None:
    made = result(patient=replace(result().patient, name=given))
    assert person_name(given) == written
    for dataset in map(reread, objects(made)):
        assert str(dataset.PatientName) == written


def test_a_number_that_does_not_fit_is_left_out_and_never_cut() -> None:
    assert identifier("1" * 16, 16) == "1" * 16
    assert identifier("1" * 17, 16) == ""
    assert identifier("12\\34") == ""
    study = replace(result().study, accession_number="9" * 17)
    assert reread(structured_report(result(study=study))).AccessionNumber == ""


def test_only_a_multi_frame_image_is_referred_to_by_frame() -> None:
    for image, frame in ((IMAGE, None), (FRAMES, 1)):
        report = reread(structured_report(result(item(image=image))))
        region = groups(report)[1]["Image Region"]
        assert (
            region.ContentSequence[0].ReferencedSOPSequence[0].get("ReferencedFrameNumber") == frame
        )


def test_writing_logs_nothing_about_the_patient(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    list(objects(RESULTS["signed"]))
    assert not caplog.records


def test_a_box_is_kept_inside_of_its_image() -> None:
    part = item(findings=(replace(DEFINITE, x=-5.0, y=190.0, width=400.0, height=40.0),))
    region = groups(reread(structured_report(result(part))))[1]["Image Region"]
    assert list(region.GraphicData) == [0, 190, 300, 190, 300, 200, 0, 200, 0, 190]


@pytest.mark.parametrize(
    "changes",
    [{"x": float("nan")}, {"width": 0.0}, {"probability": 1.01}, {"probability": float("nan")}],
)
def test_an_impossible_finding_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        replace(DEFINITE, **changes)


def test_contradictions_are_refused() -> None:
    outside = replace(DEFINITE, x=300.0)
    for wrong in (
        {"findings": (outside,)},
        {"verdict": ImageVerdict.CANNOT_ASSESS},
        {"probability": None},
    ):
        with pytest.raises(ValueError):
            item(**wrong)
    with pytest.raises(ValueError, match="identifier"):
        replace(IMAGE, sop_instance_uid="")
    with pytest.raises(ValueError, match="zone"):
        result(created_at=datetime.datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="PDF"):
        replace(REPORT, pdf=b"<html>")


def test_many_findings_fit_into_one_object() -> None:
    many = tuple(
        FindingForDicom(UUID(int=n), n % 250, n % 150, 20, 20, 0.5, SUSPICION.certainty)
        for n in range(1, 61)
    )
    made = result(item(findings=many))
    assert len(groups(reread(structured_report(made)))) == 61
    assert len(presentation_state(made, made.images[0]).GraphicAnnotationSequence) == 60


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed"
)
@pytest.mark.parametrize("name", RESULTS)
def test_dciodvfy_finds_no_error(name: str, tmp_path: Path) -> None:
    for number, dataset in enumerate(objects(RESULTS[name])):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(to_bytes(dataset))
        answer = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
        assert "Error" not in answer.stderr, answer.stderr


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
@pytest.mark.parametrize("name", RESULTS)
def test_dsrdump_reads_the_report(name: str, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(to_bytes(structured_report(RESULTS[name])))
    answer = subprocess.run(["dsrdump", str(path)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "Fracture of bone" in answer.stdout
    assert "E: " not in answer.stderr

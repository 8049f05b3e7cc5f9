"""HL7 v2 on the way in: characters, escapes, what is told and what is not, hostile bytes."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis.interop.hl7_answers import Hl7Outcome, hl7_acknowledgement, hl7_refused
from diagnosis.interop.hl7_orders import Control, Hl7Reading, hl7_merged, hl7_orders, hl7_person
from diagnosis.interop.hl7_reading import hl7_header, hl7_segments, hl7_time
from diagnosis.models import Priority
from fracture_site.common.errors import RefusedInputError
from tests.interop.hl7_messages import answered, correction, merge, order

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def reading(**values):
    defaults = {
        "source": "hl7:RIS|HOSPITAL",
        "authority": "",
        "procedures": {},
        "zone": ZoneInfo("Europe/Berlin"),
        "received_at": AT,
    }
    return Hl7Reading(**defaults | values)


def told(data=None, encoding="utf-8", **values):
    segments = hl7_segments(order() if data is None else data, encoding=encoding)
    header = hl7_header(order() if data is None else data)
    [(control, found)] = hl7_orders(segments, reading(**values), written=header.written)
    return control, found


def person(data, encoding="utf-8", **values):
    return hl7_person(hl7_segments(data, encoding=encoding), reading(**values))


def test_an_order_is_read_whole():
    control, found = told()

    assert control is Control.PLACE
    assert (found.placer_number, found.accession_number) == ("P-1", "A-1")
    assert (found.body_part, found.side, found.modality) == ("wrist", "left", "DX")
    assert (found.procedure_code, found.procedure_system) == ("XRW", "LOCAL")
    assert found.priority == Priority.STAT
    assert found.clinical_question == "Fall on the hand"
    assert found.requester_name == "Referrer, Robin"
    assert found.told_at == AT
    assert found.scheduled_at == datetime(2026, 11, 21, 9, 30, tzinfo=ZoneInfo("Europe/Berlin"))


def test_an_imaging_order_names_station_and_study():
    data = order(kind="OMI^O23") + (
        b"TQ1|1||||||20261122080000||A\r"
        b"IPC|A-77|RP-1|1.2.840.77|SPS-1|CR^Computed Radiography^DCM||||ROOM7\r"
    )
    _, found = told(data)

    assert (found.accession_number, found.study_instance_uid) == ("A-77", "1.2.840.77")
    assert (found.station_ae_title, found.modality) == ("ROOM7", "CR")
    assert found.priority == Priority.URGENT
    assert found.scheduled_at.day == 22


def test_the_senders_own_table_knows_more_than_words():
    known = {"XRW": {"body_part": "hand", "side": "right", "modality": "CR"}}
    _, found = told(procedures=known)

    assert (found.body_part, found.side, found.modality) == ("hand", "right", "CR")


def test_what_is_not_told_is_none():
    _, found = told(order(question="", accession="", urgency="", procedure="X^Chest"))

    assert found.clinical_question is None
    assert found.accession_number is None
    assert found.priority is None
    assert (found.body_part, found.side) == (None, None)


@pytest.mark.parametrize(
    ("control", "state", "expected"),
    [
        ("NW", "", Control.PLACE),
        ("XO", "", Control.PLACE),
        ("CA", "", Control.CANCEL),
        ("DC", "", Control.CANCEL),
        ("SC", "CM", Control.NOTE),
        ("SC", "CA", Control.CANCEL),
    ],
)
def test_controls(control, state, expected):
    assert told(order(order_control=control, state=state))[0] is expected


def test_names_in_other_characters():
    for charset, encoding, name in (
        ("8859/1", "iso-8859-1", "Müller"),
        ("8859/2", "iso-8859-2", "Łukasz"),
        ("8859/5", "iso-8859-5", "Иванова"),
        ("UNICODE UTF-8", "utf-8", "王"),
    ):
        data = correction(charset=charset, encoding=encoding, family=name)
        assert person(data, encoding).family_name == name


def test_bytes_that_are_not_in_the_named_characters_are_refused():
    with pytest.raises(RefusedInputError, match="characters_undecodable"):
        person(correction(encoding="iso-8859-1"), "utf-8")


def test_escapes_are_undone_and_unknown_ones_vanish():
    found = person(correction(family="O\\T\\B\\S\\C\\F\\D\\H\\E\\XC3BC\\F\\Zsecret\\G"))

    assert found.family_name == "O&B^C|DEüFG"


def test_an_escape_that_would_grow_without_bound_does_not():
    assert person(correction(family="A\\.sp99999999999\\B")).family_name == "A B"


def test_an_open_escape_stays_as_it_is():
    assert person(correction(family="A\\B")).family_name == "A\\B"


def test_the_library_logs_nothing_of_a_patient(caplog):
    with caplog.at_level("DEBUG"):
        person(correction(family="Canary\\\\\\C2842\\\\M92\\\\Zx\\\\XQQ\\"))
    assert "Canary" not in caplog.text


def test_two_quotes_empty_a_value_and_nothing_leaves_it():
    emptied = person(correction(given='""', born='""', sex='""'))
    silent = person(correction(given="", born="", sex=""))

    assert (emptied.given_name, emptied.birth_date, emptied.sex) == ("", "", "unknown")
    assert (silent.given_name, silent.birth_date, silent.sex) == (None, None, None)


@pytest.mark.parametrize(
    ("born", "expected"),
    [("19800501", date(1980, 5, 1)), ("198005011230", date(1980, 5, 1)), ("1980", None)],
)
def test_birth_dates(born, expected):
    assert person(correction(born=born)).birth_date == expected


def test_a_malformed_birth_date_is_refused():
    for born in ("19801301", "unknown!"):
        with pytest.raises(RefusedInputError, match="birth_date_malformed"):
            person(correction(born=born))


@pytest.mark.parametrize(
    ("number", "authority", "expected"),
    [
        ("MRN-1", "", "MRN-1"),
        ("MRN-1^^^HOSPITAL^MR~999^^^STATE^SS", "", "MRN-1"),
        ("A1^^^HOSPITAL^PI~MRN-1^^^HOSPITAL^MR", "", "MRN-1"),
        ("X^^^OTHER^MR~MRN-1^^^HOSPITAL^MR", "HOSPITAL", "MRN-1"),
        ("MRN-1^^^HOSPITAL&1.2.3&ISO^MR", "HOSPITAL", "MRN-1"),
        ("MRN-1", "HOSPITAL", "MRN-1"),
    ],
)
def test_the_clinics_record_number_is_found(number, authority, expected):
    assert person(correction(number=number), authority=authority).record_number == expected


@pytest.mark.parametrize(
    ("number", "authority", "code"),
    [
        ("", "", "patient_unidentified"),
        ("999^^^STATE^SS", "", "patient_unidentified"),
        ("X^^^OTHER^MR~Y^^^HOSPITAL^MR", "", "patient_ambiguous"),
        ("X^^^OTHER^MR", "HOSPITAL", "patient_other_authority"),
    ],
)
def test_a_patient_who_is_not_surely_ours_is_refused(number, authority, code):
    with pytest.raises(RefusedInputError, match=code):
        person(correction(number=number), authority=authority)


def test_a_merge_names_two():
    segments = hl7_segments(merge(), encoding="utf-8")
    assert hl7_merged(segments, reading()) == "MRN-2"
    with pytest.raises(RefusedInputError, match="segment_missing"):
        hl7_merged(hl7_segments(correction(), encoding="utf-8"), reading())


def test_lines_may_end_as_on_any_system():
    for end in (b"\n", b"\r\n", b"\r\r\n"):
        assert person(correction().replace(b"\r", end)).record_number == "MRN-1"


def test_other_separators_are_understood():
    data = correction().replace(b"|", b"#").replace(b"^", b"*").replace(b"\\&", b"\\&")
    assert person(data).given_name == "Ada"
    ack = hl7_acknowledgement(hl7_header(data), Hl7Outcome("AA"), at=AT)
    assert ack.startswith(b"MSH#*~\\&#FRACTURE_SITE#")


def test_times():
    berlin = ZoneInfo("Europe/Berlin")
    assert hl7_time("20261120", berlin) == datetime(2026, 11, 20, tzinfo=berlin)
    offset = timezone(timedelta(hours=-5))
    assert hl7_time("202611201200-0500", berlin) == datetime(2026, 11, 20, 12, tzinfo=offset)
    assert hl7_time("2026", berlin) is None
    for wrong in ("20261340", "yesterday", "99999999", "00000101", "20260101999999"):
        with pytest.raises(RefusedInputError, match="time_malformed"):
            hl7_time(wrong, berlin)


def test_an_answer_names_the_message_and_nothing_of_the_patient():
    header = hl7_header(order())
    accepted = hl7_acknowledgement(header, Hl7Outcome("AA", effect="created"), at=AT)
    refused = hl7_acknowledgement(header, hl7_refused("patient_mismatch"), at=AT)

    assert answered(accepted) == ("AA", "created")
    assert b"|RIS|HOSPITAL|" in accepted
    assert b"MSA|AA|MSG-1|" in accepted
    assert answered(refused) == ("AE", "patient_mismatch")
    assert b"ERR|||205^Duplicate key identifier^HL70357|E|patient_mismatch\r" in refused
    for ack in (accepted, refused):
        assert b"Ada" not in ack
        assert b"MRN" not in ack


HOSTILE = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda head, tail: head + tail,
        st.sampled_from([b"MSH|^~\\&|", b"MSH|^~\\&|R|H|||x||ADT^A08|C|P|2.5\rPID|", order()]),
        st.binary(max_size=200),
    ),
    st.builds(
        lambda data, place, junk: data[:place] + junk + data[place + len(junk) :],
        st.sampled_from([order(), merge()]),
        st.integers(0, 300),
        st.binary(min_size=1, max_size=20),
    ),
)


@settings(max_examples=600, deadline=None)
@given(HOSTILE)
def test_whatever_comes_is_read_or_refused(data):
    try:
        header = hl7_header(data)
        segments = hl7_segments(data, encoding="utf-8")
        hl7_person(segments, reading())
        hl7_orders(segments, reading(), written=header.written)
        hl7_merged(segments, reading())
    except RefusedInputError as error:
        hl7_acknowledgement(None, hl7_refused(error.code), at=AT)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\v\x1c"), max_size=60))
def test_any_name_survives_escaping(name):
    escaped = name.replace("\\", "\\E\\")
    for char, letter in {"|": "F", "^": "S", "~": "R", "&": "T"}.items():
        escaped = escaped.replace(char, f"\\{letter}\\")
    found = person(correction(given=escaped)).given_name
    kept = "".join(char for char in name if char.isprintable())
    if name == '""':
        assert found == ""
    elif kept == name and name.strip():
        assert found == " ".join(name.split())

"""The conformance statement is what the code does."""

import re
from pathlib import Path

from diagnosis.dimse.listener import make_server
from diagnosis.interop.conformance import conformance_statement
from diagnosis.interop.dicom_capabilities import AE_TITLE, STORED, TRANSFER_SYNTAXES
from diagnosis.transport.dicom_limits import MAX_PDU
from tests.support.orthanc import free_port

STATEMENT = Path(__file__).parents[2] / "docs" / "dicom-conformance.md"


def test_the_statement_is_up_to_date():
    assert STATEMENT.read_text() == conformance_statement(ae_title=AE_TITLE, max_pdu=MAX_PDU), (
        "run `manage.py conformance_statement` and commit the file"
    )


def test_the_listener_offers_what_the_statement_says():
    server = make_server(("127.0.0.1", free_port()))
    try:
        offered = {c.abstract_syntax: set(c.transfer_syntax) for c in server.contexts}
    finally:
        server.server_close()
    said = set(re.findall(r"\| (1\.2[\d.]+) \|", STATEMENT.read_text()))
    assert set(offered) <= said
    for sop_class in STORED:
        assert offered[sop_class] == set(TRANSFER_SYNTAXES) <= said

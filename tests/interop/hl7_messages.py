"""Messages as a radiology information system writes them; the patients are invented."""

from typing import Any

ORDER = (
    "MSH|^~\\&|{application}|{facility}|FRACTURE_SITE||{written}||{kind}|{control}|{processing}|"
    "2.5.1||||||{charset}\r"
    "PID|1||{number}||{family}^{given}||{born}|{sex}\r"
    "ORC|{order_control}|{placer}|{filler}||{state}||^^^20261121093000^^{urgency}|||||"
    "1234^Referrer^Robin\r"
    "OBR|1|{placer}|{filler}|{procedure}|||||||||{question}|||1234^Referrer^Robin||{accession}"
    "||||||XR\r"
)
CORRECTION = (
    "MSH|^~\\&|{application}|{facility}|FRACTURE_SITE||{written}||{kind}|{control}|{processing}|"
    "2.5.1||||||{charset}\r"
    "EVN||{written}\r"
    "PID|1||{number}||{family}^{given}||{born}|{sex}\r"
)
MERGE = CORRECTION + "MRG|{merged}\r"
DEFAULTS: dict[str, Any] = {
    "application": "RIS",
    "facility": "HOSPITAL",
    "written": "20261120120000+0000",
    "kind": "ORM^O01",
    "control": "MSG-1",
    "processing": "P",
    "charset": "UNICODE UTF-8",
    "number": "MRN-1^^^HOSPITAL^MR",
    "family": "Müller",
    "given": "Ada",
    "born": "19800501",
    "sex": "F",
    "order_control": "NW",
    "placer": "P-1",
    "filler": "",
    "state": "",
    "urgency": "S",
    "procedure": "XRW^Wrist LT 2 views^LOCAL",
    "question": "Fall on the hand",
    "accession": "A-1",
    "merged": "MRN-2^^^HOSPITAL^MR",
}


def order(**changes: Any) -> bytes:
    return _made(ORDER, changes)


def correction(**changes: Any) -> bytes:
    return _made(CORRECTION, {"kind": "ADT^A08", **changes})


def merge(**changes: Any) -> bytes:
    return _made(MERGE, {"kind": "ADT^A40", **changes})


def _made(text: str, changes: dict[str, Any]) -> bytes:
    values = DEFAULTS | changes
    encoding = values.pop("encoding", "utf-8")
    return text.format(**values).encode(encoding)


def answered(ack: bytes) -> tuple[str, str]:
    """Return acknowledgement code and our code (or effect)."""
    lines = {line[:3]: line.split("|") for line in ack.decode().split("\r") if line}
    return lines["MSA"][1], lines["MSA"][3]

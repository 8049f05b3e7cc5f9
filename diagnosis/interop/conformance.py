"""The DICOM conformance statement (PS3.2), made from the tables that the code itself uses."""

from collections.abc import Iterable

from pydicom.uid import UID

from diagnosis.interop import dicom_capabilities as capabilities
from diagnosis.interop.dicom_listing import INSTANCE_KEYS, SERIES_KEYS
from diagnosis.interop.dicom_worklist import WORKLIST_KEYS
from diagnosis.selectors.dicom_query import STUDY_KEYS

_STATUS_NAMES = {
    capabilities.OUT_OF_RESOURCES: "Refused: out of resources; send again later",
    capabilities.DUPLICATE: "Duplicate SOP instance: other bytes under this identity are stored",
    capabilities.DOES_NOT_MATCH: "Data set does not match: patient or study contradict ours",
    capabilities.CANNOT_UNDERSTAND: "Cannot understand: the image cannot be read",
    capabilities.NOT_SUPPORTED: "SOP class not supported: such an object is not read here",
    capabilities.NOT_AUTHORISED: "Not authorised: the device was switched off",
    capabilities.SUCCESS: "Success: bytes and database row are durable",
}
_SECTIONS = """\
# DICOM conformance statement

Written by `python manage.py conformance_statement`; a test fails when this file is not what the
code does. Fracture Site takes in radiographs, answers queries, and sends what the AI found and
what a doctor signed.

## Application entity

One application entity, by default `{ae_title}` on port 11112, offered by `manage.py
dicom_listener`. Implementation class UID `{implementation_uid}`, version name
`{implementation_version}`.

* A calling AE is accepted when it is a *device* of a clinic: by AE title **and** SHA-256 of its
  client certificate, or, for devices without a certificate, by AE title and IP address.
* With `DIMSE_TLS_CERTIFICATE` every client must show a certificate of `DIMSE_TLS_CLIENT_CA`
  (TLS 1.2 or newer). Without it the listener serves its own machine only, unless
  `DIMSE_PLAIN_NETWORK` is set.
* A device writes to and finds in its own clinic only.
* Maximum PDU length received: {max_pdu} bytes. A read that takes longer than 30 s, an association
  that is not requested within 10 s, and a message longer than `INGEST_MAX_BYTES` end the connection.

### Services as SCP

| service | SOP class | UID |
| --- | --- | --- |
{services}

### Images taken in (Storage SCP, and STOW-RS)

| SOP class | UID | AI |
| --- | --- | --- |
{stored}

| transfer syntax | UID |
| --- | --- |
{syntaxes}

An image is filed under the patient with its Patient ID and the study with its Study Instance UID,
else with its Accession Number; both are made when they are unknown. Attributes used: Patient ID
(needed), Patient's Name, Birth Date, Sex, Accession Number, Study ID, Date and Time, Series and
Instance Number, Laterality, Image Laterality, View Position, Body Part Examined, and everything
that is needed to show the pixels.

| status of C-STORE | meaning |
| --- | --- |
{statuses}

### Query keys (C-FIND Study Root, QIDO-RS)

Levels STUDY, SERIES and IMAGE. Wildcards `*` and `?` in texts, ranges of dates and times, lists of
UIDs; names match whatever their case. No fuzzy matching, no relational queries.

| level | matched |
| --- | --- |
| study | {study_keys} |
| series, besides | {series_keys} |
| instance, besides | {instance_keys} |

### Modality worklist

Orders that are active, and studies registered without an order, until they have an image.
Matched: {worklist_keys}.

## Services as SCU

C-ECHO and C-STORE to destinations that a clinic's administrator sets up, on the signature of a
report and, when asked for, on a preliminary AI result. Explicit and implicit VR little endian.

Earlier studies are looked up on request in destinations that are archives: C-FIND Study Root by
Patient ID, then C-GET of single instances (with the transfer syntaxes above), or C-MOVE to this
site's listener; over DICOMweb QIDO-RS and WADO-RS. Radiographs only (CR, DX, RG). Patient ID,
birth date and, where the administrator named one, Issuer of Patient ID must agree; another name
or sex must be confirmed by a person. With C-MOVE the archive must be one of the clinic's devices
and fill in Move Originator AE Title.

| content | SOP class | UID |
| --- | --- | --- |
{sent}

The structured report is TID 1500, UNVERIFIED before the signature and VERIFIED after it; the
verified one names the report that it replaces, as far as the receiver has taken that one. A
finding has the same tracking UID in the structured report and the presentation state. Originals
are never changed; an image that came as PNG, JPEG or TIFF is sent as a secondary capture with
UIDs of form `2.25.<UUID>`.

## DICOMweb

Below `/api/dicomweb/`, with `Authorization: Bearer <API token>`; for the clinic of the token.

| service | resources | media types |
| --- | --- | --- |
| STOW-RS | `studies`, `studies/{{study}}` | `multipart/related; type="application/dicom"` in, `application/dicom+json` out; 200, 202 or 409 |
| QIDO-RS | `studies`, `series`, `instances`, and below a study or series | `application/dicom+json`; `limit`, `offset`, `includefield` (`all` too); an unknown key is refused with 400 |
| WADO-RS | study, series, instance | `multipart/related; type="application/dicom"`, explicit VR little endian |
| WADO-RS | `metadata` | `application/dicom+json` |
| WADO-RS | `frames/{{list}}`, `bulkdata/7FE00010` | `multipart/related; type="application/octet-stream"` |
| WADO-RS | `rendered`, `frames/{{frame}}/rendered`, `thumbnail` | `image/jpeg` |

Pages of other origins may read DICOMweb when the operator names them in `CORS_ALLOWED_ORIGINS`.

Retrieved instances carry the patient and study as the clinic's records say them now. They are
uncompressed copies with the attributes that showing and measuring need; private attributes are not
among them.

## Character sets

Sent: ISO_IR 192. Received: what pydicom decodes.
"""  # noqa: E501 - rows of tables


def conformance_statement(*, ae_title: str, max_pdu: int) -> str:
    """Return the whole statement as Markdown."""
    return _SECTIONS.format(
        ae_title=ae_title,
        max_pdu=max_pdu,
        implementation_uid=capabilities.IMPLEMENTATION_UID,
        implementation_version=capabilities.IMPLEMENTATION_VERSION,
        services=_rows(
            ("C-ECHO", _named(capabilities.VERIFICATION)),
            ("C-FIND", _named(capabilities.STUDY_ROOT_FIND)),
            ("C-FIND", _named(capabilities.WORKLIST_FIND)),
        ),
        stored=_rows(*((_named(uid), _read(uid)) for uid in capabilities.STORED)),
        syntaxes=_rows(*((_named(uid),) for uid in capabilities.TRANSFER_SYNTAXES)),
        statuses=_rows(*((f"0x{code:04X}", name) for code, name in sorted(_STATUS_NAMES.items()))),
        study_keys=_words(STUDY_KEYS),
        series_keys=_words(SERIES_KEYS),
        instance_keys=_words(INSTANCE_KEYS),
        worklist_keys=_words(WORKLIST_KEYS),
        sent=_rows(*((name, _named(uid)) for name, uid in capabilities.SENT)),
    )


def _named(uid: UID) -> str:
    return f"{uid.name} | {uid}"


def _read(uid: UID) -> str:
    return "reads it" if uid in capabilities.READ_BY_AI else "stored and shown"


def _rows(*rows: tuple[str, ...]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _words(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)

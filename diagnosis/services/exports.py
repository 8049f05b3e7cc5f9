"""Giving a study's images away without identity."""

import hashlib
import io
import zipfile

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.audit import audit_record
from accounts.models import User
from accounts.policy import Action, require
from diagnosis.interop.deidentify import Pseudonyms, deidentified, may_have_text
from diagnosis.interop.dicom_header import to_bytes
from diagnosis.models import Study
from diagnosis.storage import object_read
from fracture_site.common.errors import ConflictError, UnavailableError

_WARNING = """\
These images carry no attribute that names a person. Their pixels are as they were taken.

{count} of {total} images may have text in the picture: names, numbers or dates that somebody
burned in. Look at every image before you give it to anybody.
"""


@transaction.atomic
def study_export_deidentified(*, actor: User, study: Study) -> bytes:
    """Return a ZIP file with the study's images as DICOM without identity, and a warning.

    Pseudonyms stay the same from export to export, so that a person's studies stay together.

    Raises:
        ConflictError: ``study_empty``.
        UnavailableError: ``storage``, also when stored bytes are not those that were stored.
    """
    require(user=actor, action=Action.STUDY_EXPORT, clinic_id=study.clinic_id)
    images = list(study.images.all())
    if not images:
        raise ConflictError("study_empty", _("This study has no images."))
    pseudonyms = Pseudonyms(key=settings.SECRET_KEY.encode(), clinic_id=study.clinic_id)
    buffer, doubtful = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, image in enumerate(images, start=1):
            try:
                served = object_read(image.served_key)
            except OSError as error:
                raise UnavailableError("storage", _("The store does not answer.")) from error
            if hashlib.sha256(served).hexdigest() != image.served_sha256:
                raise UnavailableError(
                    "damaged_object", _("A stored image is damaged. Tell your administrator.")
                )
            doubtful += may_have_text(served, image.served_content_type)
            dataset = deidentified(served=served, image=image, study=study, pseudonyms=pseudonyms)
            archive.writestr(f"image-{number:03d}.dcm", to_bytes(dataset))
        archive.writestr("READ-ME.txt", _WARNING.format(count=doubtful, total=len(images)))
    audit_record(
        actor=actor,
        action="study.export_deidentified",
        clinic_id=study.clinic_id,
        target=study,
        patient_id=study.patient_id,
        images=len(images),
    )
    return buffer.getvalue()

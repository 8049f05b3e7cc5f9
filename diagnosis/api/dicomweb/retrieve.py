"""WADO-RS (PS3.18 10.4): metadata, instances, frames, bulk data, rendered images, thumbnails."""

import io
from collections.abc import Iterator
from typing import Any, Final

import pydicom
from django.http import Http404, HttpResponseBase
from pydicom.dataset import Dataset
from rest_framework.request import Request

from diagnosis.api.dicomweb.base import (
    EXPLICIT_LITTLE,
    DicomWebViewSet,
    NotAcceptable,
    accepts,
    json_answer,
    multipart,
    require_accept,
    to_json,
)
from diagnosis.interop.dicom_header import to_bytes
from diagnosis.interop.dicom_identity import study_uid
from diagnosis.models import Study, StudyImage
from diagnosis.services.dicom_results import image_instance
from diagnosis.services.reading import image_open, study_open
from diagnosis.storage import object_response
from fracture_site.common.errors import UnavailableError

PIXEL_DATA: Final = "7FE00010"
OCTETS: Final = "application/octet-stream"


class RetrieveViewSet(DicomWebViewSet):
    """Objects under the identity that the clinic's rows say; reading them is audited."""

    def metadata(
        self, request: Request, study: str, series: str = "", instance: str = ""
    ) -> HttpResponseBase:
        """Return everything but pixels; those are behind a link."""
        require_accept(request, "application/dicom+json", "application/json")
        row = self.study(study)
        images = self.images(row, series, instance)
        study_open(actor=self.actor, study=row, polled=True)
        return json_answer([self._described(row, image) for image in images])

    def instances(
        self, request: Request, study: str, series: str = "", instance: str = ""
    ) -> HttpResponseBase:
        """Return the instances of a study, a series, or one."""
        require_accept(request, "application/dicom")
        row = self.study(study)
        images = self.images(row, series, instance)
        for image in images:
            image_open(actor=self.actor, image=image, what="file")
        files = [to_bytes(self._dataset(row, image)) for image in images]
        return multipart(files, f"application/dicom; transfer-syntax={EXPLICIT_LITTLE}")

    def frames(
        self, request: Request, study: str, series: str, instance: str, frames: str
    ) -> HttpResponseBase:
        """Return frames by their numbers, uncompressed."""
        require_accept(request, OCTETS)
        row = self.study(study)
        [image] = self.images(row, series, instance)
        wanted = _numbers(frames, image.frame_count)
        image_open(actor=self.actor, image=image, what="rendition")
        data = _frames(self._dataset(row, image))
        parts = (data[number - 1] for number in wanted)
        return multipart(parts, f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}")

    def bulkdata(
        self, request: Request, study: str, series: str, instance: str, tag: str
    ) -> HttpResponseBase:
        """Return the pixels that metadata link to."""
        require_accept(request, OCTETS)
        row = self.study(study)
        [image] = self.images(row, series, instance)
        if tag.upper() != PIXEL_DATA:
            raise Http404
        image_open(actor=self.actor, image=image, what="file")
        return multipart(
            [self._dataset(row, image).PixelData], f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"
        )

    def rendered(
        self, request: Request, study: str, series: str, instance: str, frames: str = "1"
    ) -> HttpResponseBase:
        """Return one frame as people see it, at web size."""
        if not accepts(request, "image/jpeg"):
            raise NotAcceptable
        row = self.study(study)
        [image] = self.images(row, series, instance)
        [number] = _numbers(frames, image.frame_count)[:1]
        image_open(actor=self.actor, image=image, what="rendition")
        return object_response(key=image.rendition_keys[number - 1], content_type="image/jpeg")

    def thumbnail(
        self, request: Request, study: str, series: str = "", instance: str = ""
    ) -> HttpResponseBase:
        """Return a small picture of the first image."""
        if not accepts(request, "image/jpeg"):
            raise NotAcceptable
        row = self.study(study)
        image = self.images(row, series, instance)[0]
        image_open(actor=self.actor, image=image, what="thumbnail")
        return object_response(key=image.thumbnail_key, content_type="image/jpeg")

    def _dataset(self, study: Study, image: StudyImage) -> Dataset:
        try:
            return image_instance(study=study, images=list(study.images.all()), image=image)
        except OSError as error:
            raise UnavailableError("storage", "The image store does not answer.") from error

    def _described(self, study: Study, image: StudyImage) -> dict[str, Any]:
        # As a file, so that every value has its final form.
        dataset = pydicom.dcmread(io.BytesIO(to_bytes(self._dataset(study, image))))
        del dataset.PixelData
        found = to_json(dataset)
        uid = study_uid(study)
        address = self.instance_address(study, image, uid)
        found[PIXEL_DATA] = {"vr": "OW", "BulkDataURI": f"{address}/bulkdata/{PIXEL_DATA}"}
        found["00081190"] = {"vr": "UR", "Value": [address]}
        found["00083002"] = {"vr": "UI", "Value": [EXPLICIT_LITTLE]}
        return dict(sorted(found.items()))


def _numbers(text: str, count: int) -> list[int]:
    """Return frame numbers from a list.

    Raises:
        Http404: one is no number, or there is no such frame.
    """
    numbers = [int(part) for part in text.split(",") if part.isascii() and part.isdecimal()]
    if len(numbers) != text.count(",") + 1 or not all(1 <= n <= count for n in numbers):
        raise Http404
    return numbers


def _frames(dataset: Dataset) -> list[bytes]:
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    size = bits // 8
    return list(_cut(dataset.PixelData, size, int(dataset.get("NumberOfFrames") or 1)))


def _cut(data: bytes, size: int, count: int) -> Iterator[bytes]:
    for number in range(count):
        yield data[number * size : (number + 1) * size]

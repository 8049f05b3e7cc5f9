"""Stored DICOM values to display values: modality LUT, VOI LUT or window, polarity (PS3.3 C.11)."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from ml.decoding_common import Frame

MIN_SHARE_IN_WINDOW: Final = 0.02

Values = npt.NDArray[np.float64]


class DisplayTransform:
    """One table for a grey image: every stored value to its display value.

    Stored values have at most 16 bits, so the transform is computed once for each value that
    occurs and looked up for the pixels; 64 MP never exist as floating point.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._stored_bits = int(dataset.BitsStored)
        self._signed = int(dataset.get("PixelRepresentation") or 0) == 1
        self._inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
        self.warnings: tuple[str, ...] = ()

    def apply(self, stored: npt.NDArray[np.generic]) -> Frame:
        """Return the frame in display polarity; ``uint8`` up to 8 stored bits, else ``uint16``.

        Args:
            stored: whole numbers of shape ``(rows, columns)`` with at most 16 bits.
        """
        pixels = self._without_overlay_bits(stored)
        low, high = int(pixels.min()), int(pixels.max())
        domain = np.arange(low, high + 1, dtype=np.int32)
        index, first = _indexed(pixels, low)
        last = first + high - low
        # OpenCV counts and looks up in a fifth of numpy's time.
        counted = cv2.calcHist([index], [0], None, [last + 1], [0, last + 1])
        counts = counted.ravel()[first:].astype(np.int64)
        padding = self._padding(domain)
        counts[padding] = 0
        shares = self._display_shares(domain, counts)
        if self._inverted:
            shares = 1.0 - shares
        shares[padding] = 0.0
        values = np.zeros(1 << 8 * index.dtype.itemsize, np.float64)
        if self._stored_bits <= 8:
            values[first : last + 1] = np.rint(shares * 255)
            return np.asarray(cv2.LUT(index, values.astype(np.uint8)), np.uint8)
        values[first : last + 1] = np.rint(shares * 65535)
        return np.asarray(cv2.LUT(index, values.astype(np.uint16)), np.uint16)

    def _without_overlay_bits(self, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.integer]:
        """Drop bits above the stored ones, where old devices kept overlays."""
        pixels = stored.astype(np.int32 if stored.dtype.itemsize > 2 else stored.dtype, copy=False)
        if self._signed or self._stored_bits >= 8 * pixels.dtype.itemsize:
            return pixels
        mask = (1 << self._stored_bits) - 1
        kept: npt.NDArray[np.integer] = pixels & pixels.dtype.type(mask)
        return kept

    def _padding(self, domain: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        first = self._dataset.get("PixelPaddingValue")
        if not isinstance(first, int):
            return np.zeros(len(domain), dtype=bool)
        last = self._dataset.get("PixelPaddingRangeLimit")
        other = last if isinstance(last, int) else first
        return (domain >= min(first, other)) & (domain <= max(first, other))

    def _display_shares(
        self, domain: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]
    ) -> Values:
        """Return the display value of each value of ``domain``, 0 (black) to 1 (white)."""
        values = np.asarray(apply_modality_lut(domain, self._dataset), dtype=np.float64)
        shown = self._through_voi_lut(values)
        if shown is None:
            shown = self._through_window(values)
        if shown is not None:
            if self._is_useful(shown, counts):
                return shown
            self.warnings = ("window_ignored",)
        if self._stored_bits <= 8 and np.array_equal(values, domain):
            low = -(1 << (self._stored_bits - 1)) if self._signed else 0
            return np.clip((values - low) / ((1 << self._stored_bits) - 1), 0.0, 1.0)
        return _stretched(values, counts)

    def _through_voi_lut(self, values: Values) -> Values | None:
        sequence = self._dataset.get("VOILUTSequence")
        if not sequence:
            return None
        mapped = apply_voi(np.rint(values).astype(np.int32), self._dataset)
        depth = int(sequence[0].LUTDescriptor[2])
        return np.clip(np.asarray(mapped, dtype=np.float64) / ((1 << depth) - 1), 0.0, 1.0)

    def _through_window(self, values: Values) -> Values | None:
        center, width = self._first("WindowCenter"), self._first("WindowWidth")
        if center is None or width is None or width <= 0:
            return None
        function = str(self._dataset.get("VOILUTFunction") or "LINEAR").upper()
        if function == "SIGMOID":
            power = np.clip(-4.0 * (values - center) / width, -60.0, 60.0)
            return np.asarray(1.0 / (1.0 + np.exp(power)))
        if function == "LINEAR":
            center, width = center - 0.5, max(width - 1.0, 1e-6)
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)

    def _first(self, keyword: str) -> float | None:
        value = self._dataset.get(keyword)
        if value is None or value == "":
            return None
        if not isinstance(value, int | float | str):
            value = value[0] if len(value) else None
        number = float(value) if value is not None else None
        return number if number is not None and np.isfinite(number) else None

    @staticmethod
    def _is_useful(shown: Values, counts: npt.NDArray[np.int64]) -> bool:
        """Tell whether the window shows anything: some devices write one that is off the data."""
        inside = counts[(shown > 0.0) & (shown < 1.0)].sum()
        used = shown[counts > 0]
        two_levels = len(used) <= 2 or len(np.unique(used)) == len(used)
        return bool(two_levels or inside >= MIN_SHARE_IN_WINDOW * max(1, counts.sum()))


def _indexed(
    pixels: npt.NDArray[np.integer], low: int
) -> tuple[npt.NDArray[np.uint8 | np.uint16], int]:
    """Return pixels as places in a table, and the place of the lowest value ``low``."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, np.uint8), low
    if pixels.dtype == np.uint16:
        return np.ascontiguousarray(pixels, np.uint16), low
    return np.ascontiguousarray(pixels.astype(np.int32) - low, np.uint16), 0


def _stretched(values: Values, counts: npt.NDArray[np.int64]) -> Values:
    used = values[counts > 0]
    if len(used) == 0 or used.max() == used.min():
        return np.zeros_like(values)
    shares: Values = np.clip((values - used.min()) / (used.max() - used.min()), 0.0, 1.0)
    return shares

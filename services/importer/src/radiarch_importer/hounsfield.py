"""Stored pixel values to HU."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from radiarch_common.errors import RefusedError

AIR_HU = -1000
"""What padding becomes."""

LOWEST_HU = -1024
"""Everything below is padding, whatever its value (-2000, -3024, ...): no matter is thinner than vacuum."""

HIGHEST_HU = 31_000
"""The extended CT scale ends at 30,710 HU (12 bits by 10, from -10,240); metal reaches it."""

LIKELY_PADDING_HU = -900
"""A padding value above this is a value that tissue has too."""


def slice_hu(dataset: Dataset, sop_instance_uid: str) -> npt.NDArray[np.int16]:
    """HU of one CT image: shape (rows, columns), int16, rounded; padding is air.

    Parameters
    ----------
    dataset
        A single-frame CT image with pixel data that can be decoded.
    sop_instance_uid
        For messages.

    Raises
    ------
    RefusedError
        When the values are no HU: another rescale type, no rescale, not finite, or above ``HIGHEST_HU``.

    References
    ----------
    DICOM PS3.3 C.8.2.1, C.11.1.1.2, C.7.5.1.1.2.
    """
    slope, intercept = _rescale(dataset, sop_instance_uid)
    stored = dataset.pixel_array
    hu = stored.astype(np.float64) * slope + intercept
    padding = _padding(dataset, stored)
    if padding is not None and padding.any():
        if hu[padding].max() > LIKELY_PADDING_HU:
            raise RefusedError(
                f"CT slice {sop_instance_uid} declares {hu[padding].max():.0f} HU to be padding, a value that "
                "tissue has too.",
                "Have PixelPaddingValue corrected, or removed when it is not true.",
            )
        hu[padding] = AIR_HU
    if not np.all(np.isfinite(hu)):
        raise RefusedError(
            f"CT slice {sop_instance_uid} has {int(np.sum(~np.isfinite(hu)))} voxels whose HU are not finite.",
            "Reconstruct or export the CT again.",
        )
    if hu.max() > HIGHEST_HU:
        raise RefusedError(
            f"CT slice {sop_instance_uid} has {int(np.sum(hu > HIGHEST_HU))} voxels above {HIGHEST_HU} HU "
            f"(highest: {hu.max():.0f}).",
            "Check RescaleSlope and RescaleIntercept; no CT scale goes that far.",
        )
    hu[hu < LOWEST_HU] = AIR_HU
    return np.rint(hu).astype(np.int16)


def _rescale(dataset: Dataset, sop_instance_uid: str) -> tuple[float, float]:
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        raise RefusedError(
            f"CT slice {sop_instance_uid} has no RescaleSlope or no RescaleIntercept, so its values are no HU.",
            "Export the CT with them.",
        )
    if not (np.isfinite(float(slope)) and np.isfinite(float(intercept)) and float(slope) > 0):
        raise RefusedError(
            f"CT slice {sop_instance_uid} has RescaleSlope {float(slope):g} and RescaleIntercept {float(intercept):g}.",
            "Export the CT with a true rescale.",
        )
    kind = str(dataset.get("RescaleType", "") or "HU").strip().upper()
    if kind not in ("HU", "HU_MOD", "US"):
        raise RefusedError(
            f"CT slice {sop_instance_uid} holds values of type {kind}, not HU.",
            "Send the CT on the Hounsfield scale, not a map derived from it.",
        )
    return float(slope), float(intercept)


def _padding(dataset: Dataset, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where padding was declared; None when it was not."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # Files exist whose padding is written with the other sign: the same bits are meant.
    ends = np.array([int(value), int(value if limit is None else limit)]).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())

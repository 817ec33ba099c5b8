"""DVH curves as items of the DVH Sequence, so that viewers show them next to the dose.

References
----------
DICOM PS3.3 C.8.8.4 (RT DVH Module).
"""

import numpy as np
from pydicom import Dataset
from radiarch_common.result import DvhCurve

from radiarch_exporter.decimals import nearest_ds

# All bins of a curve are one decimal string, whose length is 16 bits in Explicit VR: with 1000 bins half full.
_MOST_BINS = 1000
_FINEST_BIN_GY = 0.02


def dvh_item(curve: DvhCurve) -> Dataset:
    """A cumulative curve in bins of equal width, volumes in cm3.

    The volume of bin ``k`` receives at least the dose of its lower edge, ``k`` times the width.
    """
    highest_gy = max(curve.dose_gy_rbe)
    bins = int(np.clip(np.ceil(highest_gy / _FINEST_BIN_GY), 1, _MOST_BINS))
    width = nearest_ds(max(highest_gy / bins, _FINEST_BIN_GY / 2))
    percent = np.interp(float(width) * np.arange(bins), curve.dose_gy_rbe, curve.volume_percent)
    item = Dataset()
    item.DVHReferencedROISequence = [_roi(curve.number)]
    item.DVHType = "CUMULATIVE"
    item.DoseUnits = "GY"
    item.DoseType = "EFFECTIVE"
    item.DVHDoseScaling = "1"
    item.DVHVolumeUnits = "CM3"
    item.DVHNumberOfBins = bins
    item.DVHData = [text for p in percent for text in (width, f"{p * curve.volume_cc / 100:.6g}")]
    for metric, keyword in (("Min", "DVHMinimumDose"), ("Max", "DVHMaximumDose"), ("Mean", "DVHMeanDose")):
        if f"{metric}[Gy]" in curve.metrics:
            setattr(item, keyword, nearest_ds(curve.metrics[f"{metric}[Gy]"]))
    return item


def _roi(number: int) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.DVHROIContributionType = "INCLUDED"
    return item

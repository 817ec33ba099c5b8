"""One core or two: the plan and its dose are the same to the last bit, as they leave the exporter.

Fails when work is cut by how many cores there are, or sums depend on who is done first: a plan could then not be made
again on another machine.
"""

from pathlib import Path

import pytest
from pydicom import Dataset
from radiarch_common.plans import Beam
from radiarch_testkit.one_spot import Bench
from radiarch_testkit.requests import SMALL

BEAMS = (Beam(name="right", gantry_angle_deg=90.0), Beam(name="left", gantry_angle_deg=270.0))
pytestmark = pytest.mark.slow


def _planned(folder: Path, processes: int) -> tuple[Dataset, Dataset]:
    return Bench(folder, dose_grid_mm=5.0, processes=processes).plan(**SMALL, beams=BEAMS, dose_grid_mm=5.0)


def _spots(plan: Dataset) -> list[tuple[object, ...]]:
    return [
        (beam.BeamName, point.NominalBeamEnergy, tuple(point.ScanSpotPositionMap), tuple(point.ScanSpotMetersetWeights))
        for beam in plan.IonBeamSequence
        for point in beam.IonControlPointSequence
    ]


def test_one_core_or_two_the_dose_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """Spots with their weights, and every voxel; neither run finds anything of the other's."""
    (plan, dose), (plan_again, dose_again) = (_planned(tmp_path / str(number), number) for number in (1, 2))
    assert _spots(plan) == _spots(plan_again)
    assert dose.DoseGridScaling == dose_again.DoseGridScaling
    assert dose.PixelData == dose_again.PixelData

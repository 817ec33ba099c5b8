"""An RT Ion Plan read back by what the standard says of it, to be simulated again."""

import numpy as np
from pydicom import Dataset
from radiarch_common.result import BeamRangeShifter, Layer, ResultBeam


def fractions_of(plan: Dataset) -> int:
    """Number of Fractions Planned of the only fraction group."""
    (group,) = plan.FractionGroupSequence
    return int(group.NumberOfFractionsPlanned)


def beams_of(plan: Dataset) -> tuple[ResultBeam, ...]:
    """The beams of a plan, MU per fraction: each spot's share of the beam's meterset by its weight.

    References
    ----------
    DICOM PS3.3 C.8.8.25.2: a spot's meterset is its weight times Beam Meterset over Final Cumulative Meterset
    Weight.
    """
    (group,) = plan.FractionGroupSequence
    meterset = {int(item.ReferencedBeamNumber): float(item.BeamMeterset) for item in group.ReferencedBeamSequence}
    return tuple(_beam(item, meterset[int(item.BeamNumber)]) for item in plan.IonBeamSequence)


def _beam(item: Dataset, meterset_mu: float) -> ResultBeam:
    points = item.IonControlPointSequence
    first = points[0]
    mu_per_weight = meterset_mu / float(item.FinalCumulativeMetersetWeight)
    x, y, z = (float(v) for v in first.IsocenterPosition)
    near, far = (float(v) for v in item.VirtualSourceAxisDistances)
    return ResultBeam(
        number=int(item.BeamNumber),
        name=str(item.BeamName),
        gantry_angle_deg=float(first.GantryAngle),
        couch_angle_deg=float(first.PatientSupportAngle),
        isocentre_mm=(x, y, z),
        virtual_source_axis_distances_mm=(near, far),
        nozzle_isocentre_distance_mm=float(first.SnoutPosition),
        range_shifter=_range_shifter(item, first),
        layers=tuple(_layer(point, mu_per_weight) for point in points[::2]),
    )


def _range_shifter(item: Dataset, first: Dataset) -> BeamRangeShifter | None:
    """The one range shifter that is in the beam, if any."""
    if not int(item.NumberOfRangeShifters):
        return None
    (shifter,), (setting,) = item.RangeShifterSequence, first.RangeShifterSettingsSequence
    assert int(setting.ReferencedRangeShifterNumber) == int(shifter.RangeShifterNumber)
    assert (shifter.RangeShifterType, setting.RangeShifterSetting) == ("BINARY", "IN")
    return BeamRangeShifter(
        id=str(shifter.RangeShifterID),
        description=str(shifter.RangeShifterDescription),
        wet_mm=float(setting.RangeShifterWaterEquivalentThickness),
        isocentre_distance_mm=float(setting.IsocenterToRangeShifterDistance),
    )


def _layer(point: Dataset, mu_per_weight: float) -> Layer:
    """A layer: its spots are given between this control point and the next."""
    places = np.asarray(point.ScanSpotPositionMap, dtype=np.float64).reshape(-1, 2)
    weights = np.atleast_1d(np.asarray(point.ScanSpotMetersetWeights, dtype=np.float64))
    width, height = (float(v) for v in point.ScanningSpotSize)
    return Layer(
        energy_mev=float(point.NominalBeamEnergy),
        x_mm=tuple(places[:, 0].tolist()),
        y_mm=tuple(places[:, 1].tolist()),
        mu=tuple((weights * mu_per_weight).tolist()),
        spot_fwhm_mm=(width, height),
    )

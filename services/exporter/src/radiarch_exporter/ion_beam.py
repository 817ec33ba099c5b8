"""One planned beam as an item of the Ion Beam Sequence.

References
----------
DICOM PS3.3 C.8.8.25 (RT Ion Beams Module), C.8.8.25.5 (range shifters), C.8.8.25.7 (control points), C.8.8.25.8 (scan
spot maps).
"""

from math import fsum

import numpy as np
from pydicom import Dataset
from radiarch_common.errors import RefusedError
from radiarch_common.result import BeamRangeShifter, Layer, ResultBeam

from radiarch_exporter.decimals import nearest_ds, nearest_ds_list
from radiarch_exporter.record import NOTICE

# The position map of a layer is one FL element: in Explicit VR its length is 16 bits and even.
_MOST_SPOTS = 0xFFFE // (2 * 4)


def ion_beam(beam: ResultBeam, machine: str) -> Dataset:
    """The beam, its control points in pairs: the even one holds a layer's spots, the odd one closes it.

    Raises
    ------
    RefusedError
        If the beam has no spots, or more in a layer than DICOM can hold.
    ValueError
        If the weight of a spot is not positive, or not a 32-bit float.
    """
    _refuse_unwritable(beam)
    item = Dataset()
    item.BeamNumber = beam.number
    item.BeamName = beam.name
    item.BeamDescription = f"{NOTICE}, proton pencil beam scanning"
    # STATIC: nothing but the spots changes while meterset is given; energy changes between the pairs.
    item.BeamType = "STATIC"
    item.RadiationType = "PROTON"
    # The validator asks for the type here; editions of the standard differ on whether MODULATED may carry it.
    item.ScanMode = "MODULATED"
    item.ModulatedScanModeType = "STATIONARY"
    item.TreatmentMachineName = machine
    item.PrimaryDosimeterUnit = "MU"
    item.VirtualSourceAxisDistances = list(beam.virtual_source_axis_distances_mm)
    item.TreatmentDeliveryType = "TREATMENT"
    item.ReferencedPatientSetupNumber = 1
    item.NumberOfWedges = 0
    item.NumberOfCompensators = 0
    item.NumberOfBoli = 0
    item.NumberOfBlocks = 0
    item.NumberOfRangeShifters = 0
    if beam.range_shifter:
        item.NumberOfRangeShifters = 1
        item.RangeShifterSequence = [_range_shifter(beam.range_shifter)]
    item.NumberOfLateralSpreadingDevices = 0
    item.NumberOfRangeModulators = 0
    item.PatientSupportType = "TABLE"
    item.FinalCumulativeMetersetWeight = meterset_ds(beam)
    item.IonControlPointSequence = _control_points(beam)
    item.NumberOfControlPoints = len(item.IonControlPointSequence)
    return item


def meterset_ds(beam: ResultBeam) -> str:
    """Meterset of the beam, MU per fraction: the sum of its spots."""
    return nearest_ds(fsum(mu for layer in beam.layers for mu in layer.mu))


def _control_points(beam: ResultBeam) -> list[Dataset]:
    points: list[Dataset] = []
    given: list[float] = []
    for layer in beam.layers:
        points.append(_control_point(layer, len(points), fsum(given), layer.mu))
        given += layer.mu
        points.append(_control_point(layer, len(points), fsum(given), (0.0,) * len(layer.mu)))
    _place(points[0], beam)
    return points


def _control_point(layer: Layer, index: int, given_mu: float, mu: tuple[float, ...]) -> Dataset:
    point = Dataset()
    point.ControlPointIndex = index
    point.CumulativeMetersetWeight = nearest_ds(given_mu)
    point.NominalBeamEnergy = nearest_ds(layer.energy_mev)
    point.ScanSpotTuneID = _tune(layer)
    point.NumberOfScanSpotPositions = len(mu)
    point.ScanSpotPositionMap = np.column_stack([layer.x_mm, layer.y_mm]).astype(np.float32).ravel().tolist()
    point.ScanSpotMetersetWeights = list(mu)
    point.ScanningSpotSize = list(layer.spot_fwhm_mm)
    point.NumberOfPaintings = 1
    return point


def _tune(layer: Layer) -> str:
    """Which spot the machine makes: its nominal size, as the standard allows (300A,0390)."""
    return "x".join(f"{size:.1f}" for size in layer.spot_fwhm_mm) + "mm"


def _place(first: Dataset, beam: ResultBeam) -> None:
    """What holds for the whole beam and is said in its first control point."""
    first.GantryAngle = nearest_ds(beam.gantry_angle_deg)
    first.GantryRotationDirection = "NONE"
    first.BeamLimitingDeviceAngle = "0"
    first.BeamLimitingDeviceRotationDirection = "NONE"
    first.PatientSupportAngle = nearest_ds(beam.couch_angle_deg)
    first.PatientSupportRotationDirection = "NONE"
    # Where the couch stands is for the room to say, not for this plan.
    first.TableTopVerticalPosition = None
    first.TableTopLongitudinalPosition = None
    first.TableTopLateralPosition = None
    first.TableTopPitchAngle = 0.0
    first.TableTopPitchRotationDirection = "NONE"
    first.TableTopRollAngle = 0.0
    first.TableTopRollRotationDirection = "NONE"
    first.IsocenterPosition = nearest_ds_list(beam.isocentre_mm)
    first.SnoutPosition = beam.nozzle_isocentre_distance_mm
    if beam.range_shifter:
        first.RangeShifterSettingsSequence = [_range_shifter_setting(beam.range_shifter)]


def _range_shifter(shifter: BeamRangeShifter) -> Dataset:
    item = Dataset()
    item.RangeShifterNumber = 1
    item.RangeShifterID = shifter.id
    # In or out as a whole. No accessory code: nobody has read one off it.
    item.RangeShifterType = "BINARY"
    item.RangeShifterDescription = shifter.description
    return item


def _range_shifter_setting(shifter: BeamRangeShifter) -> Dataset:
    """What is said in a beam's first control point, and holds for all that follow."""
    item = Dataset()
    item.ReferencedRangeShifterNumber = 1
    item.RangeShifterSetting = "IN"
    item.IsocenterToRangeShifterDistance = shifter.isocentre_distance_mm
    item.RangeShifterWaterEquivalentThickness = shifter.wet_mm
    return item


def _refuse_unwritable(beam: ResultBeam) -> None:
    if not beam.layers or not all(layer.mu for layer in beam.layers):
        raise RefusedError(f"Beam '{beam.name}' has no spots.", "Leave the beam out, or give it another direction.")
    for layer in beam.layers:
        if len({len(layer.mu), len(layer.x_mm), len(layer.y_mm)}) != 1:
            raise ValueError(f"beam {beam.number}, {layer.energy_mev} MeV: not one position for each spot")
        if any(not mu > 0 or float(np.float32(mu)) != mu for mu in layer.mu):
            raise ValueError(f"beam {beam.number}, {layer.energy_mev} MeV: a spot's MU is no positive 32-bit float")
        if len(layer.mu) > _MOST_SPOTS:
            raise RefusedError(
                f"Beam '{beam.name}' has {len(layer.mu)} spots at {layer.energy_mev} MeV; DICOM holds {_MOST_SPOTS}.",
                "Choose a larger spot spacing.",
            )

"""A range shifter in the engine: its thickness is what it takes from the range, and its place widens the spot.

Fails when WET, density or material reach the engine as something else, when the distance is not that of the
downstream edge, when the crop of the CT is made for the open beam, and when spots placed behind it end elsewhere.
"""

from collections.abc import Callable

import numpy as np
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.plans import PlanSpec
from radiarch_common.result import BeamRangeShifter, Layer, ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.mcsquare import McsquareEngine

MakeEngine = Callable[..., McsquareEngine]
MakeSpec = Callable[..., PlanSpec]

# NIST PSTAR, liquid water: CSDA range in mm by energy in MeV; mean energies of the library's rows.
RANGES_MM = ([100.0, 125.0, 150.0, 175.0, 200.0, 225.0, 250.0], [77.18, 114.6, 157.7, 206.2, 259.6, 317.4, 379.4])
WET_MM, DISTANCE_MM = 74.1, 300.0
BLOCK = BeamRangeShifter(id="rs-74", description="PMMA", wet_mm=WET_MM, isocentre_distance_mm=DISTANCE_MM)


def one_spot(shifter: BeamRangeShifter | None) -> ResultBeam:
    """150 MeV from the front, the isocentre on the surface of the water."""
    layer = Layer(energy_mev=150.0, x_mm=(0.0,), y_mm=(0.0,), mu=(1.0,), spot_fwhm_mm=(8.0, 9.0))
    return ResultBeam(
        number=1,
        name="Front",
        gantry_angle_deg=0.0,
        couch_angle_deg=0.0,
        isocentre_mm=(0.0, 0.0, 0.0),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        range_shifter=shifter,
        layers=(layer,),
    )


def r80_mm(patient: Patient, dose_gy: FloatArray) -> float:
    depth_dose = dose_gy.sum(axis=(0, 2), dtype=np.float64)
    peak = int(depth_dose.argmax())
    after = peak + int(np.argmax(depth_dose[peak:] < 0.8 * depth_dose[peak]))
    part = (depth_dose[after - 1] - 0.8 * depth_dose[peak]) / (depth_dose[after - 1] - depth_dose[after])
    return float(patient.grid.axis_mm(1)[after - 1] + part * patient.grid.spacing_mm[1])


def width_mm(patient: Patient, dose_gy: FloatArray) -> float:
    """Sigma along x in the first centimetre, by the half width of the profile: its halo does not count."""
    profile = dose_gy[:, :10].sum(axis=(0, 1), dtype=np.float64)
    x, half = patient.grid.axis_mm(0), profile.max() / 2
    inside = np.flatnonzero(profile > half)
    low, high = inside[0], inside[-1]
    left = np.interp(half, profile[low - 1 : low + 1], x[low - 1 : low + 1])
    right = np.interp(-half, -profile[high : high + 2], x[high : high + 2])
    return float(right - left) / 2.3548


@pytest.mark.slow
def test_it_takes_its_thickness_from_the_range_and_widens_the_spot(
    make_engine: MakeEngine, make_water: Callable[..., Patient], make_spec: MakeSpec
) -> None:
    engine, spec = make_engine(), make_spec(primaries_final=50_000)
    patient = make_water((-58.0, 0.5, -58.0), (2.0, 1.0, 4.0), (59, 175, 30))
    doses = [engine.final_dose(patient, (one_spot(s),), spec, QuietWatch()).dose_gy for s in (None, BLOCK)]
    open_mm, behind_mm = (r80_mm(patient, dose) for dose in doses)
    assert open_mm - behind_mm == pytest.approx(WET_MM, abs=1.0)

    added = np.sqrt(width_mm(patient, doses[1]) ** 2 - width_mm(patient, doses[0]) ** 2)
    # Highland's formula by hand: 7.7 g/cm2 of PMMA are 0.19 of its radiation length, and pv falls from 279 to
    # 201 MeV: 24 mrad over the 300 mm of air and half of the block's 64 mm, and 5 mm of depth.
    assert added == pytest.approx(0.024 * (DISTANCE_MM + 37.0), rel=0.08)
    estimate = engine.model.scatter_mm(150.0, engine.model.shifter(BLOCK))
    assert added <= estimate <= 1.25 * added


def test_spots_behind_it_end_in_the_target(
    make_engine: MakeEngine,
    make_water: Callable[..., Patient],
    make_spec: MakeSpec,
    make_ball: Callable[..., FloatArray],
) -> None:
    """A target from 1.5 to 6.5 cm deep, out of reach of 100 MeV: the thicker block, and energies for what is left."""
    patient = make_water((-98.0, 2.0, -60.0), (4.0, 4.0, 4.0), (50, 50, 31))
    target = make_ball(patient.grid, (0.0, 40.0, 0.0), 25.0)
    engine = make_engine()
    (placed,) = engine.place(patient, target, make_spec(), QuietWatch()).beams
    assert placed.range_shifter is not None
    assert placed.range_shifter.id == "rs-74"
    ends_mm = np.interp([layer.energy_mev for layer in placed.layers], *RANGES_MM) - WET_MM
    # The target, its margin of 5 mm, half a layer of 6 mm and the library's energies, which are 0.5 MeV off.
    assert 64.0 < ends_mm.max() < 75.0
    assert 6.0 < ends_mm.min() < 17.0
    (beam,) = engine.beams(engine.place(patient, target, make_spec(), QuietWatch()), np.ones(placed.count))
    assert beam.range_shifter == placed.range_shifter
    # It is the machine's spot that is named, not the wider one behind the block.
    assert beam.layers[0].spot_fwhm_mm == engine.model.fwhm_mm(beam.layers[0].energy_mev)


def test_the_patient_in_its_place_is_refused(
    make_engine: MakeEngine,
    make_water: Callable[..., Patient],
    make_spec: MakeSpec,
    make_ball: Callable[..., FloatArray],
) -> None:
    """The isocentre is put 33 cm below the surface that the beam enters by."""
    patient = make_water((-58.0, 2.0, -60.0), (4.0, 4.0, 4.0), (30, 90, 31))
    target = make_ball(patient.grid, (0.0, 40.0, 0.0), 20.0)
    with pytest.raises(RefusedError, match=r"'rs-74' of beam 'Front' ends 300 mm before the isocentre.* reaches 3[23]"):
        make_engine().place(patient, target, make_spec(isocentre_mm=(0.0, 330.0, 0.0)), QuietWatch())


def test_a_beam_with_a_block_that_the_machine_has_not_is_refused(
    make_engine: MakeEngine, make_water: Callable[..., Patient], make_spec: MakeSpec
) -> None:
    patient = make_water((-58.0, 2.0, -60.0), (4.0, 4.0, 4.0), (30, 20, 31))
    beam = one_spot(BLOCK.model_copy(update={"id": "rs-99"}))
    with pytest.raises(RefusedError, match="no range shifter 'rs-99'"):
        make_engine().final_dose(patient, (beam,), make_spec(), QuietWatch())


def test_the_crop_holds_the_widened_beam(
    make_engine: MakeEngine, make_water: Callable[..., Patient], make_spec: MakeSpec
) -> None:
    """A long patient, of which most is cropped away: next to nothing may be missing there.

    Not the scattered protons alone: the secondaries of the block are what flies farthest.
    """
    patient = make_water((-198.0, 1.0, -298.0), (4.0, 2.0, 4.0), (100, 10, 150))
    spec = make_spec(primaries_final=100_000)
    dose = make_engine().final_dose(patient, (one_spot(BLOCK),), spec, QuietWatch()).dose_gy
    planes = dose.sum(axis=(1, 2))
    filled = np.flatnonzero(planes)
    assert len(filled) < 120
    assert max(planes[filled[0]], planes[filled[-1]]) < 2e-3 * planes.max()


def test_less_energy_scatters_more(make_engine: MakeEngine) -> None:
    """At 105 MeV little is left behind the block; half the way widens a spot half as much."""
    model = make_engine().model
    shifter = model.shifter(BLOCK)
    assert model.scatter_mm(105.0, shifter) > 1.8 * model.scatter_mm(200.0, shifter)
    nearer = model.shifter(BLOCK.model_copy(update={"isocentre_distance_mm": 120.0}))
    assert model.scatter_mm(150.0, nearer) == pytest.approx(0.5 * model.scatter_mm(150.0, shifter), rel=0.02)
    assert model.scatter_mm(150.0, None) == 0.0

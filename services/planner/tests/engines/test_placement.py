"""Spots cover the target, come from measured energies, and a target out of reach is refused by name."""

from collections.abc import Callable

import numpy as np
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.plans import Beam, PlanSpec
from radiarch_common.result import Layer, ResultBeam
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.inputs import crop_box
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.placement import place_spots
from radiarch_planner.reach import Reach
from radiarch_planner.steering import BeamFrame

MakeEngine = Callable[..., McsquareEngine]
MakeBall = Callable[[Grid, tuple[float, float, float], float], FloatArray]

# NIST PSTAR, liquid water: CSDA range in mm by energy in MeV.
RANGES_MM = ([100.0, 125.0, 150.0, 175.0, 200.0, 225.0, 250.0], [77.18, 114.6, 157.7, 206.2, 259.6, 317.4, 379.4])


@pytest.fixture(scope="module")
def patient(make_water: Callable[..., Patient]) -> Patient:
    return make_water((-148.0, 2.0, -60.0), (4.0, 4.0, 4.0), (75, 100, 31))


@pytest.fixture(scope="module")
def engine(make_engine: MakeEngine) -> McsquareEngine:
    return make_engine()


def test_every_voxel_of_the_target_has_spots_around_it(
    patient: Patient, engine: McsquareEngine, make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    target = make_ball(patient.grid, (10.0, 140.0, -4.0), 30.0)
    spec = make_spec(isocentre_mm=(0.0, 140.0, 0.0))
    placement = engine.place(patient, target, spec, QuietWatch())
    assert placement.isocentre_mm == (0.0, 140.0, 0.0)
    (beam,) = placement.beams
    spots = np.array([(*xy, layer.energy_mev) for layer in beam.layers for xy in layer.xy_mm.tolist()])
    # From the front, in water from y = 0 on: depth is y, and a ray leans by its distance from the axis.
    end_mm = np.interp(spots[:, 2], *RANGES_MM)
    leans = [(source - 140.0 + end_mm) / source for source in (2234.8, 1859.1)]
    ends = np.column_stack([spots[:, 0] * leans[0], end_mm, spots[:, 1] * leans[1]])
    voxels = np.argwhere(target > 0)[:, ::-1] * 4.0 + np.asarray(patient.grid.origin_mm)
    for voxel in voxels:
        near = np.abs(ends - voxel) <= (6.0, 6.0, 6.0)
        assert near.all(axis=1).any(), voxel
    # And none lies farther outside than margin, half a layer, and the grid's coarseness together.
    outside = np.linalg.norm(ends[:, None] - voxels[None, ::3], axis=2).min(axis=1)
    assert outside.max() < 5.0 + 3.0 + 8.0


def test_layers_fall_in_energy_and_stay_among_the_measured(
    patient: Patient, engine: McsquareEngine, make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    # The front margin of this target would need less than 100 MeV; the target itself does not.
    target = make_ball(patient.grid, (0.0, 110.0, 0.0), 30.0)
    (beam,) = engine.place(patient, target, make_spec(), QuietWatch()).beams
    energies = [layer.energy_mev for layer in beam.layers]
    assert energies == sorted(energies, reverse=True)
    assert len(set(energies)) == len(energies)
    assert min(energies) >= 100.0
    assert engine.model.data.columns["nominalEnergy"].min() == 100.0
    spacings = -np.diff(np.interp(energies, *RANGES_MM))
    # The last is the lowest that there is.
    assert np.allclose(spacings[:-1], 6.0, atol=0.6)
    assert energies[-1] == 100.0


def test_centroid_is_the_isocentre_unless_one_is_named(
    patient: Patient, engine: McsquareEngine, make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    target = make_ball(patient.grid, (8.0, 142.0, -4.0), 25.0)
    assert engine.place(patient, target, make_spec(), QuietWatch()).isocentre_mm == pytest.approx((8.0, 142.0, -4.0))


@pytest.mark.parametrize(
    ("depth_mm", "gantry_deg", "word", "numbers"),
    [(40.0, 0.0, "shallow", r"1\.\d to 6\.\d cm"), (370.0, 0.0, "deep", r"34\.\d to 39\.\d cm")],
)
def test_a_target_out_of_reach_is_refused_by_name(
    depth_mm: float,
    gantry_deg: float,
    word: str,
    numbers: str,
    patient: Patient,
    engine: McsquareEngine,
    make_ball: MakeBall,
    make_spec: Callable[..., PlanSpec],
) -> None:
    target = make_ball(patient.grid, (0.0, depth_mm, 0.0), 25.0)
    beams = (
        Beam(name="Good", gantry_angle_deg=90.0),
        Beam(name="Bad one", gantry_angle_deg=gantry_deg, range_shifter="none"),
    )
    with pytest.raises(RefusedError, match=word) as refused:
        engine.place(patient, target, make_spec(beams=beams), QuietWatch())
    assert "'Bad one'" in refused.value.reason
    assert refused.match(numbers)
    assert refused.match(r"7\.8 to 31\.\d cm \(100 to 225 MeV\)")
    assert "angle" in refused.value.hint


def test_an_empty_target_is_refused(
    patient: Patient, engine: McsquareEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    with pytest.raises(RefusedError, match="'PTV'"):
        engine.place(patient, np.zeros(patient.grid.shape, dtype=np.float32), make_spec(), QuietWatch())


def test_plan_beams_hold_exactly_the_spots_with_mu(
    patient: Patient, engine: McsquareEngine, make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    placement = engine.place(patient, make_ball(patient.grid, (0.0, 140.0, 0.0), 25.0), make_spec(), QuietWatch())
    mu = np.where(np.arange(placement.count) % 3 == 0, 0.0, 0.1 + 1e-3 * np.arange(placement.count))
    (beam,) = engine.beams(placement, mu)
    written = np.concatenate([layer.mu for layer in beam.layers])
    assert len(written) == np.count_nonzero(mu)
    assert np.array_equal(written * 1024, np.rint(written * 1024))
    assert np.allclose(written, mu[mu > 0], atol=0.5 / 1024)
    assert beam.virtual_source_axis_distances_mm == (2234.8, 1859.1)
    (empty,) = engine.beams(placement, np.zeros(placement.count))
    assert empty.layers == ()


@pytest.mark.slow
def test_range_in_tissue_is_what_the_calibration_says(
    make_engine: MakeEngine, make_water: Callable[..., Patient], make_spec: Callable[..., PlanSpec]
) -> None:
    # Placement trusts the calibration's stopping power; the engine has its own idea. They must agree.
    engine = make_engine(calibration="ucl-toshiba")
    water = make_water((-48.0, 0.5, -48.0), (4.0, 1.0, 4.0), (25, 230, 25))
    for hu in (-100.0, 40.0, 700.0, 1210.0):
        tissue = Patient(water.grid, np.full(water.grid.shape, hu, dtype=np.float32), "HFS")
        power = float(engine.stopping_power(tissue)[0, 0, 0])
        placement_range_mm = float(np.interp(150.0, engine.model.reach.energies_mev, engine.model.reach.ranges_mm))
        depth_mm = r80_mm(engine, tissue, make_spec)
        assert depth_mm == pytest.approx(placement_range_mm / power, abs=1.0), hu


def r80_mm(engine: McsquareEngine, patient: Patient, make_spec: Callable[..., PlanSpec]) -> float:
    layer = Layer(energy_mev=150.0, x_mm=(0.0,), y_mm=(0.0,), mu=(1.0,), spot_fwhm_mm=(8.0, 9.0))
    beam = ResultBeam(
        number=1,
        name="Front",
        gantry_angle_deg=0.0,
        couch_angle_deg=0.0,
        isocentre_mm=(0.0, 0.0, 0.0),
        virtual_source_axis_distances_mm=(2234.8, 1859.1),
        nozzle_isocentre_distance_mm=410.0,
        layers=(layer,),
    )
    dose = engine.final_dose(patient, (beam,), make_spec(primaries_final=30_000), QuietWatch()).dose_gy
    depth_dose = dose.sum(axis=(0, 2), dtype=np.float64)
    peak = int(depth_dose.argmax())
    after = peak + int(np.argmax(depth_dose[peak:] < 0.8 * depth_dose[peak]))
    part = (depth_dose[after - 1] - 0.8 * depth_dose[peak]) / (depth_dose[after - 1] - depth_dose[after])
    return float(patient.grid.axis_mm(1)[after - 1] + part)


def test_the_crop_holds_the_whole_beam(make_water: Callable[..., Patient]) -> None:
    patient = make_water((-148.0, 2.0, -298.0), (4.0, 4.0, 4.0), (75, 60, 150))
    frame = BeamFrame.of((0.0, 120.0, 0.0), 270.0, 0.0, (2234.8, 1859.1), "HFS")
    low, size = crop_box(patient.grid, frame, np.array([[-20.0, -20.0], [20.0, 20.0]]), 80.0)
    assert low[0] == 0
    assert size[0] == 75  # the whole way in and out
    assert low[1] == (120 - 100 - 2) // 4 - 2
    assert size[2] == pytest.approx(2 * 100 / 4 * 2485 / 2235, abs=4)
    for gantry in (0.0, 45.0, 200.0):
        turned = BeamFrame.of((0.0, 120.0, 0.0), gantry, 0.0, (2234.8, 1859.1), "HFS")
        start, count = crop_box(patient.grid, turned, np.array([[-20.0, -20.0], [20.0, 20.0]]), 80.0)
        rays = turned.ray(
            np.array([[x, y] for x in (-20.0, 0.0, 20.0) for y in (-20.0, 20.0)]), np.arange(-300.0, 301.0)
        )
        indices = patient.grid.index_of(rays.reshape(-1, 3))
        inside = np.all((indices > -0.5) & (indices < np.asarray(patient.grid.size) - 0.5), axis=1)
        kept = (indices[inside] >= np.asarray(start) - 0.5) & (indices[inside] <= np.asarray(start) + count - 0.5)
        assert kept.all()


def test_dose_outside_the_crop_is_negligible(
    make_engine: MakeEngine, make_water: Callable[..., Patient], make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    patient = make_water((-60.0, 2.0, -298.0), (4.0, 4.0, 4.0), (31, 45, 150))
    # A long patient: most of it is left out of the simulation, and nothing worth mentioning may be missing there.
    engine, watch = make_engine(), QuietWatch()
    spec = make_spec(beams=(Beam(name="Front", gantry_angle_deg=0.0),), primaries_final=100_000)
    placement = engine.place(patient, make_ball(patient.grid, (0.0, 120.0, 0.0), 15.0), spec, watch)
    dose = engine.final_dose(patient, engine.beams(placement, np.ones(placement.count)), spec, watch).dose_gy
    planes = dose.sum(axis=(1, 2))
    filled = np.flatnonzero(planes)
    assert len(filled) < 100  # it was cropped along z
    edge = max(planes[filled[0]], planes[filled[-1]])
    assert edge < 2e-3 * planes.max()


def test_a_target_between_two_energies_is_refused(
    patient: Patient, make_ball: MakeBall, make_spec: Callable[..., PlanSpec]
) -> None:
    """A machine of two energies, a thin target between their ranges: no layer stops in it, and that is told."""
    target = make_ball(patient.grid, (0.0, 140.0, 0.0), 8.0)
    reach = Reach(np.array([100.0, 225.0]), np.array([77.0, 317.0]), (2234.8, 1859.1))
    water = np.ones(patient.grid.shape, np.float32)
    with pytest.raises(RefusedError, match=r"No deliverable energy of beam '.*' stops within 3 mm") as refusal:
        place_spots(patient, water, target, make_spec(), reach)
    assert "finer energy steps" in refusal.value.hint

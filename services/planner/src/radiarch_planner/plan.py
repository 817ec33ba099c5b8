"""The way of a plan: patient, spots, beamlets, optimum, deliverable spots, final dose, what it is worth."""

from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np
from radiarch_common.case import Case
from radiarch_common.plans import Beam, PlanSpec, ResolvedPlan
from radiarch_common.result import Provenance, ResultBeam, ResultDraft, ResultManifest
from radiarch_common.watch import PartOf, Watch

from radiarch_planner.aim import Aim, first_round, warnings_of_aim
from radiarch_planner.checks import check_structures
from radiarch_planner.deliverable import DeliverableSpots, SpotLimits
from radiarch_planner.dvh import Dvh
from radiarch_planner.engines.base import Engine, FinalDose, FloatArray, PlacedBeam, Placement
from radiarch_planner.evaluation import evaluate, structure_dvh, uncertainty_of, warnings_of_noise
from radiarch_planner.let import let_of
from radiarch_planner.machine import Calibration
from radiarch_planner.normalise import scale_for
from radiarch_planner.optimum import find_optimum
from radiarch_planner.overlaps import checked_overlaps
from radiarch_planner.patient import occupancy_of, patient_of
from radiarch_planner.planning import Planning, body_name, spec_of_case, structures_of
from radiarch_planner.scenarios import (
    share_of_final,
    under_scenarios,
    warnings_of_margin,
    warnings_of_scenarios,
    with_nominal,
)
from radiarch_planner.structures.derived_case import check_derived_target, derived_of, stored_shares, with_derived
from radiarch_planner.tradeoffs import explanations

_NORMALISED_WITHIN = 0.005

_PLACED, _OPTIMISED, _FINAL = 0.03, 0.65, 0.97


def make_plan(case: Case, request: ResolvedPlan, engine: Engine, calibration: Calibration, watch: Watch) -> ResultDraft:
    """Plan a case as a request asks.

    Raises
    ------
    RefusedError
        If the request does not fit the case, or the machine cannot reach the target.
    StoppedError
        If asked to stop.
    """
    watch.progress(0.0, "preparing the patient")
    with watch.timed("patient"):
        case = with_derived(case, request.spec.derived_structures, PartOf(watch, 0.0, 0.005))
        spec = spec_of_case(request.spec, case)
        patient = patient_of(case, calibration, spec.dose_grid_mm, spec.density_overrides)
        inside = {name: occupancy_of(case, name, patient) for name in structures_of(spec)}
        body = occupancy_of(case, body_name(case), patient)
        check_structures(case, spec, inside)
        overlaps = checked_overlaps(spec.objectives, inside, patient.grid)
        check_derived_target(case, spec.prescription.target, inside[spec.prescription.target], body, patient.grid)
    planning = Planning(case, spec, engine, patient, inside, body > 0)
    watch.progress(0.01, "placing spots")
    with watch.timed("spots"):
        placement = engine.place(patient, planning.target, spec, PartOf(watch, 0.01, _PLACED))
    optimum = find_optimum(planning, placement, PartOf(watch, _PLACED, _OPTIMISED))
    nominal_done = _OPTIMISED + (_FINAL - _OPTIMISED) * share_of_final(planning)
    beams, dose = _normalised(planning, placement, optimum.spots, PartOf(watch, _OPTIMISED, nominal_done))
    dose_gy_rbe = dose.dose_gy * np.float32(spec.rbe)
    scenarios = under_scenarios(planning, beams, PartOf(watch, nominal_done, _FINAL))
    with watch.timed("evaluation"):
        worth = evaluate(case, dose_gy_rbe, patient.grid, spec, PartOf(watch, _FINAL, 1.0))
    target_name = spec.prescription.target
    uncertainty = uncertainty_of(dose.dose_gy, dose.uncertainty_gy, planning.target, target_name, dose.batches)
    manifest = ResultManifest(
        resolved=_as_planned(request, spec, placement),
        grid=patient.grid,
        beams=beams,
        uncertainty=uncertainty,
        dvh=tuple(dvh.curve for dvh in worth.dvh),
        goals=worth.goals,
        indices=worth.indices,
        objective_course=optimum.spots.course,
        scenarios=with_nominal(planning, worth, uncertainty, scenarios, optimum.robust_costs),
        let=let_of(case, patient, dose, spec),
        provenance=_provenance(case, engine, spec, beams, dose.primaries),
        structures=derived_of(case),
        warnings=(
            *patient.warnings,
            *worth.warnings,
            *warnings_of_noise(uncertainty),
            *warnings_of_aim(spec, uncertainty, dose.primaries),
            *overlaps,
            *warnings_of_margin(spec),
            *warnings_of_scenarios(scenarios),
            *_missed_normalisation(spec, next(d for d in worth.dvh if d.curve.structure == target_name)),
            *explanations(worth.goals, optimum.standing, uncertainty),
        ),
    )
    shares = stored_shares(case)
    return ResultDraft(manifest, dose.dose_gy, dose_gy_rbe, dose.uncertainty_gy, shares, dose.let_kev_um)


def _normalised(
    planning: Planning, placement: Placement, spots: DeliverableSpots, watch: Watch
) -> tuple[tuple[ResultBeam, ...], FinalDose]:
    """The beams as they are written, and the dose of exactly these.

    Beamlets are noisy and the optimiser takes their noise for dose, so the factor of the normalisation comes from
    the final dose. Dose is proportional to MU: beams and dose are scaled together, to the last bit of the 32-bit
    floats that hold them. Only when a spot would leave the machine's limits is it put back, and the dose simulated
    anew.
    """
    spec, engine = planning.spec, planning.engine
    beams = engine.beams(placement, spots.mu)
    dose = _final_dose(planning, beams, watch)
    if spec.prescription.normalisation == "none":
        return beams, dose
    scale = scale_for(spec.prescription, _target_dvh(planning, dose.dose_gy * np.float32(spec.rbe)).cumulative)
    scaled = tuple(_scaled(beam, scale) for beam in beams)
    mu = [mu for beam in scaled for layer in beam.layers for mu in layer.mu]
    if spec.minimum_spot_mu <= min(mu) and max(mu) <= spec.maximum_spot_mu:
        factor = np.float32(scale)
        return scaled, replace(dose, dose_gy=dose.dose_gy * factor, uncertainty_gy=dose.uncertainty_gy * factor)
    beams = engine.beams(placement, SpotLimits.of(spec).written(spots.mu, scale))
    return beams, _final_dose(planning, beams, watch)


def _final_dose(planning: Planning, beams: tuple[ResultBeam, ...], watch: Watch) -> FinalDose:
    """Dose inside BODY. Around it is air, in whose little mass a few protons are noise hotter than any target."""
    aim = Aim.of(planning.spec, planning.target, planning.body)
    simulate = partial(planning.engine.final_dose, planning.patient, beams)
    if aim is None:
        dose = simulate(planning.spec, watch)
    else:
        dose = simulate(first_round(planning.spec), watch, enough=aim.more)
    let = None if dose.let_kev_um is None else dose.let_kev_um * planning.body
    return replace(
        dose, dose_gy=dose.dose_gy * planning.body, uncertainty_gy=dose.uncertainty_gy * planning.body, let_kev_um=let
    )


def _scaled(beam: ResultBeam, scale: float) -> ResultBeam:
    layers = tuple(
        layer.model_copy(update={"mu": tuple(float(np.float32(mu * scale)) for mu in layer.mu)})
        for layer in beam.layers
    )
    return beam.model_copy(update={"layers": layers})


def _target_dvh(planning: Planning, dose_gy_rbe: FloatArray) -> Dvh:
    structure = planning.case.manifest.structure(planning.spec.prescription.target)
    contours = planning.case.contours().get(structure.number, [])
    return structure_dvh(planning.case, structure, contours, dose_gy_rbe, planning.patient.grid, ())


def _missed_normalisation(spec: PlanSpec, target: Dvh) -> tuple[str, ...]:
    """A warning when the final dose does not have what the normalisation asks."""
    missing = scale_for(spec.prescription, target.cumulative)
    if abs(missing - 1.0) <= _NORMALISED_WITHIN:
        return ()
    asked = spec.prescription.normalisation
    return (
        f"The final dose is {100.0 * (1.0 / missing - 1.0):+.1f} % off its normalisation '{asked}': by the noise of "
        "its simulation, or because more would break the machine's limits on the MU of a spot.",
    )


def _as_planned(request: ResolvedPlan, spec: PlanSpec, placement: Placement) -> ResolvedPlan:
    """The request with the numbers that the case decided; that of the dose grid's slices is in the result's grid."""
    origins = {**request.origins, "dose_grid_slice_mm": "case"}
    if spec.isocentre_mm is None:
        spec = spec.model_copy(update={"isocentre_mm": placement.isocentre_mm})
        origins["isocentre_mm"] = "case"
    origins |= {f"beams.{n}.range_shifter": "case" for n, beam in enumerate(spec.beams) if beam.range_shifter == "auto"}
    beams = tuple(_with_range_shifter(placed) for placed in placement.beams)
    spec = spec.model_copy(update={"beams": beams})
    return request.model_copy(update={"spec": spec, "origins": origins})


def _with_range_shifter(placed: PlacedBeam) -> Beam:
    shifter = placed.range_shifter
    return placed.beam.model_copy(update={"range_shifter": shifter.id if shifter else "none"})


def _provenance(
    case: Case, engine: Engine, spec: PlanSpec, beams: tuple[ResultBeam, ...], primaries_final: int
) -> Provenance:
    build = engine.build
    return Provenance(
        case_sha256=case.sha256,
        software={"radiarch-planner": version("radiarch-planner"), "numpy": np.__version__, **build.software},
        engine=build.engine,
        engine_build=build.name,
        engine_sha256=build.sha256,
        engine_settings=build.settings,
        cpu_vendor=build.cpu_vendor,
        seed=spec.seed,
        primaries_per_spot=spec.primaries_per_spot,
        primaries_final=primaries_final,
        spots=sum(len(layer.mu) for beam in beams for layer in beam.layers),
        dose_to=build.dose_to,
    )

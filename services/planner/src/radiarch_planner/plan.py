"""The way of a plan: patient, spots, beamlets, optimum, deliverable spots, final dose, what it is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case
from radiarch_common.errors import RefusedError
from radiarch_common.plans import BODY, PlanSpec, ResolvedPlan
from radiarch_common.result import Provenance, ResultBeam, ResultDraft, ResultManifest
from radiarch_common.watch import PartOf, Watch

from radiarch_planner.aim import Aim, first_round, warnings_of_aim
from radiarch_planner.deliverable import DeliverableSpots, SpotLimits, deliverable_spots
from radiarch_planner.dvh import Dvh
from radiarch_planner.engines.base import Engine, FinalDose, FloatArray, Patient, Placement
from radiarch_planner.evaluation import evaluate, structure_dvh, uncertainty_of, warnings_of_noise
from radiarch_planner.let import let_of
from radiarch_planner.machine import Calibration
from radiarch_planner.memory import (
    grid_bytes,
    machine_memory_bytes,
    refuse_large_tally,
    refuse_many_beamlets,
    tally_bytes,
)
from radiarch_planner.normalise import scale_for
from radiarch_planner.objectives import Region, terms_of, voxels_needed
from radiarch_planner.optimize import DoseModel
from radiarch_planner.patient import occupancy_of, patient_of
from radiarch_planner.structures.derived_case import check_derived_target, derived_of, stored_shares, with_derived

LIMIT_ROOM = 1.1
"""Spots are optimised this factor inside the machine's limits, so that the normalisation may scale the plan."""
_NORMALISED_WITHIN = 0.005
_UNDELIVERABLE_PERCENT = 15.0
"""Of the prescription; 10 of it is the room inside the limits."""

_PLACED, _BEAMLETS, _OPTIMISED, _FINAL = 0.03, 0.5, 0.65, 0.97


@dataclass(frozen=True)
class Planning:
    """What every step of one plan needs.

    ``inside`` maps the structures with objectives, and the target, to the share of each voxel of the patient's
    grid inside them: shape (z, y, x), float32, 0..1. ``body`` tells the voxels that BODY has a part in, same shape.
    """

    case: Case
    spec: PlanSpec
    engine: Engine
    patient: Patient
    inside: Mapping[str, FloatArray]
    body: npt.NDArray[np.bool_]

    @property
    def target(self) -> FloatArray:
        """The prescription's target, as in ``inside``."""
        return self.inside[self.spec.prescription.target]


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
        inside = {name: occupancy_of(case, name, patient) for name in _structures_of(spec)}
        body = occupancy_of(case, _body_name(case), patient)
        check_derived_target(case, spec.prescription.target, inside[spec.prescription.target], body, patient.grid)
    planning = Planning(case, spec, engine, patient, inside, body > 0)
    watch.progress(0.01, "placing spots")
    with watch.timed("spots"):
        placement = engine.place(patient, planning.target, spec, PartOf(watch, 0.01, _PLACED))
    spots = _optimum(planning, placement, watch)
    beams, dose = _normalised(planning, placement, spots, PartOf(watch, _OPTIMISED, _FINAL))
    dose_gy_rbe = dose.dose_gy * np.float32(spec.rbe)
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
        objective_course=spots.course,
        let=let_of(case, patient, dose, spec),
        provenance=_provenance(case, engine, spec, beams, dose.primaries),
        structures=derived_of(case),
        warnings=(
            *patient.warnings,
            *worth.warnings,
            *warnings_of_noise(uncertainty),
            *warnings_of_aim(spec, uncertainty, dose.primaries),
            *_missed_normalisation(spec, next(d for d in worth.dvh if d.curve.structure == target_name)),
        ),
    )
    shares = stored_shares(case)
    return ResultDraft(manifest, dose.dose_gy, dose_gy_rbe, dose.uncertainty_gy, shares, dose.let_kev_um)


def spec_of_case(spec: PlanSpec, case: Case) -> PlanSpec:
    """A spec whose structures are the case's. Raises RefusedError that lists the names there are."""
    body = _body_name(case)

    def named(structure: str) -> str:
        return body if structure == BODY else case.manifest.structure(structure).name

    case.manifest.structure(spec.prescription.target)
    objectives = tuple(o.model_copy(update={"structure": named(o.structure)}) for o in spec.objectives)
    goals = tuple(g.model_copy(update={"structure": named(g.structure)}) for g in spec.goals)
    return spec.model_copy(update={"objectives": objectives, "goals": goals})


def _body_name(case: Case) -> str:
    return next(s.name for s in case.manifest.structures if s.number == case.manifest.body)


def _structures_of(spec: PlanSpec) -> list[str]:
    """Structures whose voxels the plan needs: the target, and those with objectives; each once."""
    return list(dict.fromkeys([spec.prescription.target, *(objective.structure for objective in spec.objectives)]))


def _optimum(planning: Planning, placement: Placement, watch: Watch) -> DeliverableSpots:
    """Spots that the machine can deliver and that serve the objectives best."""
    spec = planning.spec
    rows = voxels_needed(list(planning.inside.values()))
    _refuse_what_cannot_fit(planning, placement, len(rows))
    beamlets = planning.engine.beamlets(planning.patient, placement, rows, spec, PartOf(watch, _PLACED, _BEAMLETS))
    with watch.timed("optimisation"):
        model = DoseModel(beamlets, spec.prescription.fractions * spec.rbe)
        terms = terms_of(spec.objectives, planning.inside, rows)
        target = Region.of(spec.prescription.target, planning.target, rows)
        inner = spec.model_copy(
            update={
                "minimum_spot_mu": spec.minimum_spot_mu * LIMIT_ROOM,
                "maximum_spot_mu": spec.maximum_spot_mu / LIMIT_ROOM,
            }
        )
        spots = deliverable_spots(model, terms, target, inner, PartOf(watch, _BEAMLETS, _OPTIMISED))
    _refuse_undeliverable(spec, spots.residual_percent)
    return spots


def _refuse_undeliverable(spec: PlanSpec, residual_percent: float) -> None:
    """Refuse a prescription that the limits on the MU of a spot put out of reach."""
    if abs(residual_percent) <= _UNDELIVERABLE_PERCENT:
        return
    few = residual_percent < 0
    raise RefusedError(
        f"With {spec.minimum_spot_mu:g} to {spec.maximum_spot_mu:g} MU in each spot the target gets "
        f"{abs(residual_percent):.0f} % {'less' if few else 'more'} than '{spec.prescription.normalisation}' of "
        f"{spec.prescription.dose_gy_rbe:g} Gy(RBE) in {spec.prescription.fractions} fractions.",
        "Ask for more fractions, more beams, or a smaller spot or layer spacing."
        if few
        else "Ask for fewer fractions, fewer beams, or a larger spot or layer spacing.",
    )


def _refuse_what_cannot_fit(planning: Planning, placement: Placement, rows: int) -> None:
    patient, spec = planning.patient, planning.spec
    volumes = grid_bytes(planning.case.manifest.grid, patient.grid)
    beams = len(spec.beams)
    refuse_large_tally(volumes, tally_bytes(patient.grid, beams, let_map=spec.let_map), beams, machine_memory_bytes())
    beamlets = planning.engine.beamlet_bytes(patient, placement, rows, spec)
    refuse_many_beamlets(volumes, beamlets, placement.count, spec.primaries_per_spot, machine_memory_bytes())


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
    return request.model_copy(update={"spec": spec, "origins": origins})


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
        cpu_vendor=build.cpu_vendor,
        seed=spec.seed,
        primaries_per_spot=spec.primaries_per_spot,
        primaries_final=primaries_final,
        spots=sum(len(layer.mu) for beam in beams for layer in beam.layers),
        dose_to=build.dose_to,
    )

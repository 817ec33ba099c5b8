"""The report of a result: what a physicist reads first comes first."""

from collections import Counter

from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.plans import PlanSpec
from radiarch_common.positions import POSITIONS
from radiarch_common.result import Result, ResultManifest

from radiarch_exporter.dvh_tables import BETWEEN_CONTOURS
from radiarch_exporter.ion_plan import prescription_text
from radiarch_exporter.palette import PAPER
from radiarch_exporter.picture import dose_png
from radiarch_exporter.record import NOTICE
from radiarch_exporter.report.content import DASH, Figure, Report, Section
from radiarch_exporter.report.course_plot import course_figure
from radiarch_exporter.report.dvh_plot import dvh_figure
from radiarch_exporter.report.goals import goals_table
from radiarch_exporter.report.request import objectives_table, provenance_table, request_table
from radiarch_exporter.report.robustness import robustness_sections
from radiarch_exporter.report.tables import beam_notes, beams_table, indices_table, let_table, structures_table

_D95 = "D95%[Gy]"
RESEARCH = f"RESEARCH - {NOTICE}"


_LET = (
    "Mean over the voxels that receive dose, weighted by dose; LET of protons in the patient, without a model of RBE."
)


def plan_report(job: ExportResult, case: Case, result: Result) -> Report:
    """Everything that the report says; the same job and result say the same. It names no patient."""
    manifest = result.manifest
    return Report(
        title="Plan report",
        subtitle=prescription_text(manifest),
        notice=RESEARCH,
        facts=_facts(manifest),
        sections=(*_judgement(case, manifest), *_dose(job, case, result), *_origins(job, case, manifest)),
        foot=f"Radiarch · job {job.job_id} · result {manifest.digest[:12]}",
    )


def _facts(result: ResultManifest) -> tuple[tuple[str, str], ...]:
    verdicts = Counter(goal.verdict for goal in result.goals)
    said = ", ".join(f"{verdicts[name]} {name}" for name in ("met", "acceptable", "missed") if verdicts[name])
    target = result.resolved.spec.prescription.target
    curve = next((c for c in result.dvh if c.structure == target), None)
    d95 = curve.metrics.get(_D95) if curve else None
    highest = max((c.metrics["Max[Gy]"] for c in result.dvh if "Max[Gy]" in c.metrics), default=None)
    return (
        ("Goals", said or "none asked"),
        (f"D95% of {target}", DASH if d95 is None else f"{d95:.2f}{_worst(result, target)} Gy(RBE)"),
        ("Highest dose", DASH if highest is None else f"{highest:.2f} Gy(RBE)"),
        ("Uncertainty, 1 sigma", f"{result.uncertainty.percent:.1f} %"),
    )


def _worst(result: ResultManifest, target: str) -> str:
    found = [s.metrics[target][_D95] for s in result.scenarios if _D95 in s.metrics.get(target, {})]
    return f", worst {min(found):.2f}" if found else ""


def _judgement(case: Case, result: ResultManifest) -> tuple[Section, ...]:
    warnings = (*result.resolved.warnings, *case.manifest.warnings, *result.warnings)
    counted = f"{result.uncertainty.batches} seeded batches per beam"
    uncertainty = (
        f"Statistical uncertainty of the dose: {result.uncertainty.percent:.1f} % (1 sigma), mean over the "
        f"{result.uncertainty.voxels}, from {counted}. Doses are Gy(RBE), sum of all fractions, "
        f"constant RBE {result.resolved.spec.rbe:g}, dose to {result.provenance.dose_to}."
    )
    found = result.indices
    return (
        *([Section("Warnings", lines=warnings, tone="warning")] if warnings else []),
        Section("Goals", table=goals_table(result), notes=(uncertainty,)),
        *robustness_sections(result),
        *([Section(f"Indices of {found.target}", table=indices_table(found))] if found else []),
        Section("Dose by structure, Gy(RBE)", table=structures_table(result), notes=_derived(result)),
        *(
            [Section("Dose-averaged LET by structure, keV/µm", table=let_table(result), notes=(_LET,))]
            if result.let
            else []
        ),
        Section("Beams", table=beams_table(result), notes=(_lying(case), *beam_notes(result))),
    )


def _lying(case: Case) -> str:
    """What the angles of the beams refer to."""
    position = case.manifest.patient_position
    words = POSITIONS[position]
    return f"Patient position {position} ({words}): gantry and couch angles are IEC 61217 for the patient lying so."


def _derived(result: ResultManifest) -> tuple[str, ...]:
    """How structures were made that nobody drew."""
    return tuple(f"{curve.structure} is derived: {curve.derived}." for curve in result.dvh if curve.derived)


def _dose(job: ExportResult, case: Case, result: Result) -> tuple[Section, ...]:
    manifest = result.manifest
    body = next(s.name for s in case.manifest.structures if s.number == case.manifest.body)
    picture = Figure(dose_png(job, case, result, PAPER), "Dose over the CT in an axial, a coronal and a sagittal plane")
    key = "Triangles: goals, on the side where the curve should lie; filled when met."
    return (
        Section("Dose over the CT", figure=picture, starts_page=True),
        Section("Dose-volume histogram", figure=dvh_figure(manifest, body), notes=(key, BETWEEN_CONTOURS)),
    )


def _origins(job: ExportResult, case: Case, result: ResultManifest) -> tuple[Section, ...]:
    return (
        Section("Request as resolved", table=request_table(result), starts_page=True),
        _optimisation(result),
        Section("Provenance", table=provenance_table(job, case.manifest, result)),
    )


def _optimisation(result: ResultManifest) -> Section:
    course = result.objective_course
    return Section(
        "Optimisation",
        figure=course_figure(course),
        table=objectives_table(result),
        notes=(_course(course, result.resolved.spec),) if course else (),
    )


def _course(course: tuple[float, ...], spec: PlanSpec) -> str:
    return (
        f"Objective {course[0]:.4g} at the start, {course[-1]:.4g} at the end, {len(course)} values; "
        f"{spec.optimisation}, at most {spec.iterations} iterations. It may rise where spots below the machine's "
        "minimum are left out."
    )

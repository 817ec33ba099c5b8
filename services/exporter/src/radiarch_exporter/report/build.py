"""The report of a result: what a physicist reads first comes first."""

from collections import Counter

from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.positions import POSITIONS
from radiarch_common.result import Result, ResultManifest

from radiarch_exporter.ion_plan import prescription_text
from radiarch_exporter.palette import PAPER
from radiarch_exporter.picture import dose_png
from radiarch_exporter.record import NOTICE
from radiarch_exporter.report.content import DASH, Figure, Report, Section
from radiarch_exporter.report.dvh_plot import dvh_figure
from radiarch_exporter.report.request import objectives_table, provenance_table, request_table
from radiarch_exporter.report.tables import beam_notes, beams_table, goals_table, indices_table, structures_table

RESEARCH = f"RESEARCH - {NOTICE}"


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
    d95 = curve.metrics.get("D95%[Gy]") if curve else None
    highest = max((c.metrics["Max[Gy]"] for c in result.dvh if "Max[Gy]" in c.metrics), default=None)
    return (
        ("Goals", said or "none asked"),
        (f"D95% of {target}", DASH if d95 is None else f"{d95:.2f} Gy(RBE)"),
        ("Highest dose", DASH if highest is None else f"{highest:.2f} Gy(RBE)"),
        ("Uncertainty, 1 sigma", f"{result.uncertainty.percent:.1f} %"),
    )


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
        *([Section(f"Indices of {found.target}", table=indices_table(found))] if found else []),
        Section("Dose by structure, Gy(RBE)", table=structures_table(result), notes=_derived(result)),
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
        Section("Dose-volume histogram", figure=dvh_figure(manifest, body), notes=(key,)),
    )


def _origins(job: ExportResult, case: Case, result: ResultManifest) -> tuple[Section, ...]:
    course = result.objective_course
    how = f"Objective {course[0]:.4g} at the start, {course[-1]:.4g} at the end." if course else ""
    return (
        Section("Request as resolved", table=request_table(result), starts_page=True),
        Section("Objectives", table=objectives_table(result), notes=(how,) if how else ()),
        Section("Provenance", table=provenance_table(job, case.manifest, result), starts_page=True),
    )

"""The request as resolved, and the provenance, as tables of a report."""

from radiarch_common.case import CaseManifest
from radiarch_common.messages import ExportResult
from radiarch_common.plans import Pinned, PlanSpec, Robustness
from radiarch_common.result import ResultManifest

from radiarch_exporter.identity import Identity
from radiarch_exporter.report.content import Column, Table

_UNITS = {
    "prescription.dose_gy_rbe": ("Prescribed dose", "Gy(RBE)"),
    "prescription.fractions": ("Fractions", ""),
    "prescription.target": ("Target", ""),
    "prescription.normalisation": ("Normalisation", ""),
    "body_from_ct": ("BODY made from the CT", ""),
    "rbe": ("RBE, constant", ""),
    "dose_grid_mm": ("Dose grid in plane", "mm"),
    "spot_spacing_mm": ("Spot spacing", "mm"),
    "layer_spacing_mm": ("Layer spacing, water", "mm"),
    "target_margin_mm": ("Spots outside the target up to", "mm"),
    "minimum_spot_mu": ("Smallest spot per fraction", "MU"),
    "maximum_spot_mu": ("Largest spot per fraction", "MU"),
    "primaries_per_spot": ("Protons per spot, optimisation", ""),
    "primaries_final": ("Protons per beam, final dose (an aim: at most)", ""),
    "batches": ("Batches per beam", ""),
    "uncertainty_percent": ("Statistical uncertainty aimed at", "%"),
    "let_map": ("Map of the LET", ""),
    "optimisation": ("Optimised", ""),
    "robustness": ("Robustness", ""),
    "iterations": ("Iterations at most", ""),
    "seed": ("Seed", ""),
}
_LISTED = {
    "derived_structures": "Derived structures",
    "density_overrides": "Density overrides",
    "beams": "Beams",
    "objectives": "Objectives",
    "goals": "Goals",
}


def request_table(result: ResultManifest) -> Table:
    """Every number that was used, and where it came from."""
    resolved = result.resolved
    rows = [
        ("Workflow", _pinned(resolved.workflow), "workflow"),
        ("Machine", _pinned(resolved.machine), "machine"),
        ("CT calibration", _pinned(resolved.ct_calibration), "ct_calibration"),
        *_numbers(resolved.spec),
        ("Isocentre", _place(resolved.spec.isocentre_mm), "isocentre_mm"),
        *((label, f"{len(getattr(resolved.spec, leaf))}", leaf) for leaf, label in _LISTED.items()),
        *_shifters(result),
    ]
    cells = tuple((label, value, str(resolved.origins.get(leaf, "not said"))) for label, value, leaf in rows)
    return Table((Column("What", 2.6), Column("Used", 4.2), Column("From", 1.3)), cells)


def _shifters(result: ResultManifest) -> list[tuple[str, str, str]]:
    """Label, value and leaf of each range shifter that the case decided."""
    beams = result.resolved.spec.beams
    leaves = [f"beams.{place}.range_shifter" for place in range(len(beams))]
    return [
        (f"Range shifter of {beam.name}", beam.range_shifter, leaf)
        for beam, leaf in zip(beams, leaves, strict=True)
        if leaf in result.resolved.origins
    ]


def objectives_table(result: ResultManifest) -> Table:
    """The terms that the optimiser made small."""
    columns = (
        Column("Structure", 3.0),
        Column("Objective", 1.8),
        Column("Gy(RBE)", 1.2, number=True),
        Column("Volume", 1.2, number=True),
        Column("Weight", 1.2, number=True),
        Column("Scenarios", 1.4),
    )
    rows = tuple(
        (
            o.structure,
            o.kind,
            f"{o.dose_gy_rbe:g}",
            "" if o.volume_percent is None else f"{o.volume_percent:g} %",
            f"{o.weight:g}",
            "all (robust)" if o.robust else "nominal",
        )
        for o in result.resolved.spec.objectives
    )
    return Table(columns, rows)


def provenance_table(job: ExportResult, case: CaseManifest, result: ResultManifest) -> Table:
    """What made this plan, and the identifiers by which its parts are found."""
    made = result.provenance
    identity = Identity.of(job.job_id, result.digest)
    rows = (
        ("Job", job.job_id),
        ("Asked for", job.created_at.strftime("%Y-%m-%d %H:%M %Z")),
        ("Result, SHA-256", result.digest),
        ("Case, SHA-256", made.case_sha256),
        ("Dose engine", f"{made.engine}, {made.engine_build}, on {made.cpu_vendor}; dose to {made.dose_to}"),
        (
            "Engine settings",
            ", ".join(f"{name} {value:g}" for name, value in made.engine_settings.items()) or "its own",
        ),
        ("Engine, SHA-256", made.engine_sha256),
        ("Software", ", ".join(f"{name} {version}" for name, version in sorted(made.software.items()))),
        ("Protons", f"{made.spots} spots of {made.primaries_per_spot} each, then {made.primaries_final} per beam"),
        ("Seed", str(made.seed)),
        ("Study", case.study_instance_uid),
        ("CT series", case.ct_series_instance_uid),
        ("Structure set", case.structure_set.sop_instance_uid),
        ("RT Ion Plan", identity.plan_uid),
        ("RT Dose", identity.dose_uid),
    )
    return Table((Column("What", 1.5), Column("Which", 6.0)), rows)


def _numbers(spec: PlanSpec) -> list[tuple[str, str, str]]:
    """Label, value and leaf of the labelled numbers, then of any that a later version of the contract has added."""
    listed = {"prescription", "isocentre_mm", *_LISTED, *_UNITS}
    added = {leaf: (leaf, "") for leaf in PlanSpec.model_fields if leaf not in listed}
    return [(label, _text(_leaf(spec, leaf), unit), leaf) for leaf, (label, unit) in (_UNITS | added).items()]


def _leaf(spec: PlanSpec, leaf: str) -> object:
    found: object = spec
    for step in leaf.split("."):
        found = getattr(found, step)
    return found


def _text(value: object, unit: str) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g} {unit}".strip()
        case tuple():
            return str(len(value)) if value else "none"  # pyright: ignore[reportUnknownArgumentType]
        case Robustness():
            return _robustness(value)
        case _:
            return f"{value} {unit}".strip()


def _robustness(asked: Robustness) -> str:
    x, y, z = asked.setup_mm
    return (
        f"x ±{x:g}, y ±{y:g}, z ±{z:g} mm, density ±{asked.range_percent:g} %; optimised for the {asked.optimise}; "
        f"{asked.primaries_per_scenario} protons per beam and scenario"
    )


def _place(isocentre_mm: tuple[float, float, float] | None) -> str:
    return "" if isocentre_mm is None else "x {:.1f}, y {:.1f}, z {:.1f} mm (LPS)".format(*isocentre_mm)


def _pinned(entry: Pinned) -> str:
    return f"{entry.id}, version {entry.version} ({entry.sha256[:12]}…)"

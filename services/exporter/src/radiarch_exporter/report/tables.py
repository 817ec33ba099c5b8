"""Tables of a report: goals, doses by structure, indices, beams."""

from radiarch_common.quality import PlanIndices
from radiarch_common.result import ResultManifest

from radiarch_exporter.report.content import DASH, Column, Table

DOSES = ("D98%[Gy]", "D95%[Gy]", "D50%[Gy]", "D2%[Gy]", "Mean[Gy]", "Max[Gy]")


def goals_table(result: ResultManifest) -> Table:
    """Goals by priority: what is wanted, what is acceptable, what the plan gives."""
    rows = tuple(
        (
            str(found.goal.priority),
            found.goal.structure,
            f"{found.goal.metric} {_sign(found.goal.op)} {found.goal.value:g}",
            "" if found.goal.limit is None else f"{_sign(found.goal.op)} {found.goal.limit:g}",
            f"{found.achieved:.2f}",
            found.verdict,
        )
        for found in sorted(result.goals, key=lambda found: found.goal.priority)
    )
    columns = (
        Column("Priority", 1.0, number=True),
        Column("Structure", 2.6),
        Column("Goal", 2.6),
        Column("Acceptable", 1.6),
        Column("Achieved", 1.4, number=True),
        Column("Verdict", 1.6),
    )
    return Table(columns, rows)


def structures_table(result: ResultManifest) -> Table:
    """Volume and doses of every structure, Gy(RBE)."""
    columns = (
        Column("Structure", 2.6),
        Column("cm³", 1.2, number=True),
        *(Column(name.removesuffix("[Gy]"), 1.0, number=True) for name in DOSES),
    )
    rows = tuple(
        (
            curve.structure,
            f"{curve.volume_cc:.1f}",
            *(f"{curve.metrics[name]:.2f}" if name in curve.metrics else "" for name in DOSES),
        )
        for curve in result.dvh
    )
    return Table(columns, rows)


def indices_table(found: PlanIndices) -> Table:
    """Indices with their formula; a dash where one is not defined."""
    rows = (
        ("Homogeneity (ICRU 83)", "(D2% - D98%) / D50%, ideally 0", _value(found.homogeneity)),
        ("Conformity (Paddick)", "TV_PIV² / (TV · PIV), ideally 1", _value(found.conformity)),
        ("Conformity at 95 % of the prescription", "the same at the 95 % isodose", _value(found.conformity_95)),
        ("Gradient (Paddick and Lippitz)", "volume of half the prescription / PIV", _value(found.gradient)),
        ("Target, TV", "", f"{found.target_cc:.1f} cm³"),
        ("Target at the prescription or more, TV_PIV", "", f"{found.covered_cc:.1f} cm³"),
        ("Isodose of the prescription in the body, PIV", "", _value(found.isodose_cc, " cm³", 1)),
    )
    return Table((Column("Index", 3.4), Column("Definition", 3.0), Column("Value", 1.2, number=True)), rows)


def beams_table(result: ResultManifest) -> Table:
    """Angles and, where the result has them, statistics of each beam, per fraction."""
    known = {beam.number: beam for beam in result.beam_statistics}
    columns = (
        Column("Beam", 1.8),
        Column("Gantry", 1.0, number=True),
        Column("Couch", 0.9, number=True),
        Column("Layers", 1.05, number=True),
        Column("Spots", 0.9, number=True),
        Column("Energy / MeV", 1.75, number=True),
        Column("Range / mm", 1.7, number=True),
        Column("MU", 1.1, number=True),
        Column("Spot MU", 1.7, number=True),
        Column("Time", 0.8, number=True),
    )
    rows: list[tuple[str, ...]] = []
    for beam in result.beams:
        energies = [layer.energy_mev for layer in beam.layers]
        mu = [mu for layer in beam.layers for mu in layer.mu]
        own = known.get(beam.number)
        rows.append(
            (
                f"{beam.number}  {beam.name}",
                f"{beam.gantry_angle_deg:g}°",
                f"{beam.couch_angle_deg:g}°",
                str(len(energies)),
                str(len(mu)),
                f"{min(energies):.1f}{DASH}{max(energies):.1f}",
                f"{own.shallowest_range_mm:.0f}{DASH}{own.deepest_range_mm:.0f}" if own else "",
                f"{beam.meterset_mu:.1f}",
                f"{min(mu):.3f}{DASH}{max(mu):.2f}",
                f"{own.delivery_s:.0f} s" if own and own.delivery_s is not None else DASH,
            )
        )
    return Table(columns, tuple(rows))


def beam_notes(result: ResultManifest) -> tuple[str, ...]:
    """What the columns of the beams mean, and where the times come from."""
    basis = dict.fromkeys(beam.delivery_basis for beam in result.beam_statistics if beam.delivery_basis)
    return (
        "Per fraction. Angles by IEC 61217; range: depth of the distal 80 % in water of the lowest and highest energy.",
        *(f"Time: {text}." for text in basis),
        *(() if basis else ("Time: the machine's file gives no delivery times, so none is estimated.",)),
    )


def _value(value: float | None, unit: str = "", digits: int = 3) -> str:
    return DASH if value is None else f"{value:.{digits}f}{unit}"


def _sign(op: str) -> str:
    return {">=": "≥", "<=": "≤"}[op]
